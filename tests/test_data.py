"""Synthetic frames, splits and arrays."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from effiseg.arrays import read_arrays, resize_image, select_rows, write_arrays
from effiseg.images import list_names, read_pair
from effiseg.split import Split, make_split, read_split
from effiseg.synthetic import AREA_FRACTIONS, draw_frame, write_frames

ROOT = Path(__file__).resolve().parents[1]
KVASIR_COUNTS = {
    "effisegnet": {"train": 800, "validation": 100, "test": 100},
    "pranet": {"test": 100},
    "medico": {"test": 120},
}


@pytest.fixture(scope="module")
def frames(tmp_path_factory):
    folder = tmp_path_factory.mktemp("frames") / "raw"
    write_frames(folder, number=24)
    return folder


def test_frames_are_the_same_bytes_for_the_same_seed(frames, tmp_path):
    write_frames(tmp_path / "again", number=24)
    files = [path for path in sorted(frames.rglob("*")) if path.is_file()]
    assert len(files) == 2 * 24 + 1
    for path in files:
        assert path.read_bytes() == (tmp_path / "again" / path.relative_to(frames)).read_bytes()


def test_a_frame_does_not_depend_on_how_many_there_are(frames, tmp_path):
    write_frames(tmp_path / "few", number=4)
    name = "images/synthetic-0003.jpg"
    assert (tmp_path / "few" / name).read_bytes() == (frames / name).read_bytes()


def test_masks_survive_the_jpeg_exactly(frames):
    for n, name in enumerate(list_names(frames)[:6], start=1):
        drawn = draw_frame(np.random.default_rng([42, n])).mask
        assert np.array_equal(read_pair(frames, name).mask, drawn)


def test_polyps_have_a_size_within_the_limits():
    shares = [draw_frame(np.random.default_rng([7, n])).mask.mean() for n in range(20)]
    assert min(shares) >= AREA_FRACTIONS[0]
    assert max(shares) <= AREA_FRACTIONS[1]
    assert max(shares) > 3 * min(shares)


def test_frames_bring_their_own_split(frames):
    params = Split(scheme="effisegnet", seed=42)
    lists, groups = ROOT / "data/splits", ROOT / "data/near_duplicate_groups.txt"
    table = make_split(frames, lists, groups, params)
    own = pd.read_csv(frames / "split.csv").set_index("name")["split"]
    assert table.set_index("name")["split"].to_dict() == own.to_dict()
    assert set(own) == {"train", "validation", "test"}


@pytest.fixture
def plain_frames(frames, tmp_path):
    for folder in ("images", "masks"):
        (tmp_path / "raw" / folder).mkdir(parents=True)
        for path in (frames / folder).iterdir():
            (tmp_path / "raw" / folder / path.name).write_bytes(path.read_bytes())
    return tmp_path / "raw"


def draw_split(raw, groups, seed):
    return make_split(raw, ROOT / "data/splits", groups, Split(scheme="random", seed=seed))


def test_a_random_split_follows_its_seed_and_keeps_groups_together(plain_frames, tmp_path):
    groups = tmp_path / "groups.txt"
    names = list_names(plain_frames)
    groups.write_text(" ".join(names[:4]) + "\n" + " ".join(names[10:13]) + "\n", encoding="utf-8")
    first, again = (draw_split(plain_frames, groups, 1) for _ in range(2))
    assert first.equals(again)
    assert any(not first.equals(draw_split(plain_frames, groups, seed)) for seed in (2, 3, 4))
    for seed in range(8):
        table = draw_split(plain_frames, groups, seed)
        grouped = table[table["group"] >= 0].groupby("group")["split"].nunique()
        assert grouped.tolist() == [1, 1]
        assert set(table["split"]) == {"train", "validation", "test"}


def test_a_list_that_does_not_fit_the_images_is_refused(plain_frames):
    lists, groups = ROOT / "data/splits", ROOT / "data/near_duplicate_groups.txt"
    with pytest.raises(ValueError, match=r"effisegnet\.csv does not fit the data set: 24 images"):
        make_split(plain_frames, lists, groups, Split(scheme="effisegnet", seed=0))


@pytest.mark.parametrize("scheme", KVASIR_COUNTS)
def test_published_lists_have_the_published_sizes(scheme):
    table = pd.read_csv(ROOT / "data" / "splits" / f"{scheme}.csv")
    assert len(table) == table["name"].nunique() == 1000
    counts = table["split"].value_counts().to_dict()
    assert {part: counts[part] for part in KVASIR_COUNTS[scheme]} == KVASIR_COUNTS[scheme]


def test_a_table_with_an_unknown_part_is_refused(tmp_path):
    table = read_split(ROOT / "data" / "split.csv")
    table.loc[0, "split"] = "exam"
    table.to_csv(tmp_path / "split.csv", index=False)
    with pytest.raises(ValueError, match=r"column split has \['exam'\]"):
        read_split(tmp_path / "split.csv")


def test_arrays_hold_images_and_binary_masks_in_order(frames, tmp_path):
    names = list_names(frames)[:5]
    write_arrays(tmp_path, frames, names, 48)
    arrays = read_arrays(tmp_path)
    assert (arrays.images.shape, arrays.images.dtype) == ((5, 48, 48, 3), np.uint8)
    assert (arrays.masks.shape, set(np.unique(arrays.masks))) == ((5, 48, 48), {0, 1})
    for row, name in enumerate(names):
        assert arrays.masks[row].mean() == pytest.approx(
            read_pair(frames, name).mask.mean(), abs=0.01
        )
    chosen = select_rows(arrays, np.array([False, True, False, False, True]))
    assert np.array_equal(chosen.images, arrays.images[[1, 4]])


def test_shrinking_averages_areas():
    image = np.random.default_rng(0).integers(0, 256, (64, 64, 3)).astype(np.uint8)
    blocks = image.reshape(16, 4, 16, 4, 3).mean((1, 3))
    assert np.abs(resize_image(image, 16) - blocks).max() <= 1


def test_a_full_disk_is_refused_before_any_work(frames, tmp_path, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 10})())
    with pytest.raises(OSError, match=r"needs .* MiB, the disk has 0 MiB free: make room or lower"):
        write_arrays(tmp_path, frames, list_names(frames), 48)
    assert list(tmp_path.glob("*.npy")) == []
