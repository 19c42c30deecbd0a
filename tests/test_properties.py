"""What holds for every input: metrics, splits, folds, masks and pictures, on drawn examples.

The examples are the same in every run, and few enough for each run to try them all. What is
expected is computed in another way than the library does: by sets of pixels, by all distances, or
from the array that was written.
"""

from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from effiseg import metrics
from effiseg.folds import SIZE_CLASSES, assign_folds
from effiseg.images import read_image, read_mask, read_pair
from effiseg.labelled import read_label
from effiseg.metrics import count_pixels, score_image, score_surface, summarize
from effiseg.pictures import read_picture
from effiseg.split import Split, draw_part, make_split, read_split

ROOT = Path(__file__).resolve().parents[1]
SCORES = (metrics.dice, metrics.iou, metrics.precision, metrics.recall)


def examples(number):
    return settings(max_examples=number, derandomize=True, deadline=None, database=None)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """One for all examples, each of which writes the same few names anew."""
    return tmp_path_factory.mktemp("examples")


# ------------------------------------------------------------------ metrics

sides = st.integers(1, 14)
shapes = st.tuples(sides, sides)


def masks_of(shape):
    """Of noise, of one box, full or empty."""
    ends = [st.tuples(*[st.integers(0, side)] * 2).map(sorted) for side in shape]

    def draw_box(edges):
        mask = np.zeros(shape, bool)
        mask[slice(*edges[0]), slice(*edges[1])] = True
        return mask

    return arrays(np.bool_, shape) | st.tuples(*ends).map(draw_box)


pairs = shapes.flatmap(lambda shape: st.tuples(masks_of(shape), masks_of(shape)))


def pixels_of(mask):
    return {(int(y), int(x)) for y, x in zip(*np.nonzero(mask), strict=True)}


def outline_of(mask):
    """Pixels with a neighbour, to the side or above or below, that is not in the mask."""
    inside = pixels_of(mask)
    around = ((0, 1), (1, 0), (0, -1), (-1, 0))
    return np.array([
        (y, x) for y, x in inside if any((y + dy, x + dx) not in inside for dy, dx in around)
    ])  # fmt: skip


@examples(150)
@given(pairs)
def test_counts_and_scores_are_those_of_sets_of_pixels(pair):
    predicted, true = map(pixels_of, pair)
    counts = count_pixels(*pair)
    everything = pair[0].size
    assert counts == (
        len(predicted & true), len(predicted - true), len(true - predicted),
        everything - len(predicted | true),
    )  # fmt: skip
    is_right = float(predicted == true)
    for score, part, whole in (
        (metrics.dice, 2 * len(predicted & true), len(predicted) + len(true)),
        (metrics.iou, len(predicted & true), len(predicted | true)),
        (metrics.precision, len(predicted & true), len(predicted)),
        (metrics.recall, len(predicted & true), len(true)),
    ):
        assert score(counts) == pytest.approx(part / whole if whole else is_right)


@examples(150)
@given(pairs, st.floats(0, 5))
def test_surface_scores_are_those_of_all_distances(pair, tolerance):
    outlines = [outline_of(mask) for mask in pair]
    found = score_surface(*pair, tolerance)
    if not len(outlines[0]) or not len(outlines[1]):
        is_right = len(outlines[0]) == len(outlines[1])
        diagonal = float(np.hypot(*pair[0].shape))
        assert found == ((1.0, 0.0) if is_right else (0.0, diagonal))
        return
    distances = np.sqrt(((outlines[0][:, None] - outlines[1][None]) ** 2).sum(2))
    nearest = distances.min(1), distances.min(0)
    within = np.concatenate(nearest) <= tolerance
    is_at_the_limit = np.isclose(np.concatenate(nearest), tolerance, atol=1e-4).any()
    assert is_at_the_limit or found.nsd == pytest.approx(within.mean())
    assert found.hd95 == pytest.approx(max(np.percentile(n, 95) for n in nearest), abs=1e-3)


@examples(100)
@given(pairs, st.floats(0, 5))
def test_scores_keep_to_their_bounds_and_to_each_other(pair, tolerance):
    counts, surface = count_pixels(*pair), score_surface(*pair, tolerance)
    dice, iou, precision, recall = (score(counts) for score in SCORES)
    assert all(0 <= value <= 1 for value in (dice, iou, precision, recall, surface.nsd))
    assert dice == pytest.approx(2 * iou / (1 + iou))
    assert iou <= min(precision, recall) + 1e-12 and dice <= max(precision, recall) + 1e-12
    assert 0 <= surface.hd95 <= np.hypot(*pair[0].shape)
    assert score_surface(*pair, tolerance + 1).nsd >= surface.nsd
    is_right = np.array_equal(*pair)
    assert (iou == 1) == (dice == 1) == is_right
    assert not is_right or surface == (1, 0)


@examples(100)
@given(pairs)
def test_prediction_and_mask_may_change_places_but_for_precision_and_recall(pair):
    there, back = count_pixels(*pair), count_pixels(*pair[::-1])
    assert metrics.dice(there) == metrics.dice(back) and metrics.iou(there) == metrics.iou(back)
    assert metrics.precision(there) == metrics.recall(back)
    assert score_surface(*pair, 1.0) == pytest.approx(score_surface(*pair[::-1], 1.0))


TURNS = {  # as EXIF numbers them: from what is stored to what is seen
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: a.swapaxes(0, 1)[:, ::-1],
    7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
    8: lambda a: a.swapaxes(0, 1)[::-1],
}


@examples(100)
@given(pairs, st.sampled_from(sorted(TURNS)))
def test_scores_do_not_depend_on_how_an_image_is_held(pair, number):
    turned = [np.ascontiguousarray(TURNS[number](mask)) for mask in pair]
    assert count_pixels(*turned) == count_pixels(*pair)
    assert score_surface(*turned, 1.0) == pytest.approx(score_surface(*pair, 1.0))


@examples(60)
@given(st.lists(pairs, min_size=1, max_size=6))
def test_a_pooled_score_is_that_of_one_large_image_and_lies_among_those_of_each(several):
    rows = [score_image(p.astype(np.float32), mask, 0.5) for p, mask in several]
    table = pd.DataFrame(rows).assign(near_duplicate=False, dice_input=0.0, iou_input=0.0)
    summary = summarize(table)
    joined = [np.concatenate([pair[n].ravel() for pair in several])[None] for n in (0, 1)]
    counts = count_pixels(*joined)
    for score in SCORES:
        name = score.__name__
        assert summary[f"{name}_pooled"] == pytest.approx(score(counts), abs=1e-6)
        mean = np.mean([score(count_pixels(*pair)) for pair in several])
        assert summary["miou" if name == "iou" else name] == pytest.approx(mean, abs=1e-6)
    each = [row["dice"] for row in rows]
    assert min(each) - 1e-6 <= summary["dice_pooled"] <= max(each) + 1e-6
    assert len(several) > 1 or summary["dice_pooled"] == summary["dice"]


@examples(60)
@given(shapes.flatmap(lambda s: st.tuples(arrays(np.float32, s, elements=st.floats(0, 1, width=32)),
                                          masks_of(s))), st.integers(0, 255))
def test_the_precision_recall_curve_agrees_with_counts_at_any_threshold(pair, number):
    probability, mask = pair
    curve = metrics.precision_recall(metrics.count_probabilities(probability, mask))
    counts = count_pixels(probability >= number / 256, mask)
    row = curve[curve["threshold"] == number / 256]
    assert len(row) == (counts.tp + counts.fp > 0)
    if len(row):
        assert row["precision"].item() == pytest.approx(metrics.precision(counts))
        assert row["recall"].item() == pytest.approx(counts.tp / max(mask.sum(), 1))


# ------------------------------------------------------------------ split, folds


@st.composite
def tables(draw, least, most, parts=("train",)):
    """Images with near-duplicate groups, some of them large, and polyps of any size."""
    number = draw(st.integers(least, most))
    groups = draw(st.lists(st.integers(-1, number // 3), min_size=number, max_size=number))
    lone = draw(st.integers(least, number))
    areas = draw(arrays(np.float64, number, elements=st.floats(0, 1)))
    chosen = draw(st.lists(st.sampled_from(parts), min_size=number, max_size=number))
    return pd.DataFrame({
        "name": [f"{n:03}" for n in range(number)], "width": 8, "height": 8,
        "area_fraction": areas, "split": chosen, "group": [-1] * lone + groups[lone:],
    })  # fmt: skip


def number_of_groups(table):
    return (table["group"] < 0).sum() + table["group"][table["group"] >= 0].nunique()


def is_undivided(table, column):
    grouped = table[table["group"] >= 0]
    return (grouped.groupby("group")[column].nunique() <= 1).all()


@examples(100)
@given(tables(10, 60), st.integers(0, 2**32))
def test_parts_share_the_images_out_and_divide_no_group(table, seed):
    table = table.set_index(np.arange(len(table))[::-1])  # rows are told by label, not by place
    before = table.copy()
    drawn = table.assign(split=draw_part(table, "test", 0.1, seed))
    drawn["split"] = draw_part(drawn, "validation", 1 / 9, seed)
    assert table.equals(before)
    assert set(drawn["split"]) == {"train", "validation", "test"} and len(drawn) == len(table)
    assert is_undivided(drawn, "split")
    for part, share, among in (("test", 0.1, drawn), ("validation", 1 / 9,
                                                      drawn[drawn["split"] != "test"])):
        moved = number_of_groups(among[among["split"] == part])
        assert abs(moved - share * number_of_groups(among)) <= 0.5 + 1e-9
    again = table.assign(split=draw_part(table, "test", 0.1, seed))
    assert draw_part(again, "validation", 1 / 9, seed).equals(drawn["split"])


@examples(60)
@given(tables(10, 40, parts=("train", "validation", "test")), st.integers(0, 99))
def test_only_training_images_are_moved(table, seed):
    table.loc[: 9, "split"] = "train"
    grouped = table["group"] >= 0
    table.loc[grouped, "split"] = table[grouped].groupby("group")["split"].transform("first")
    moved = draw_part(table, "test", 0.1, seed)
    changed = moved != table["split"]
    assert set(table["split"][changed]) == {"train"} and set(moved[changed]) == {"test"}


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    """A data set of 24 small images."""
    folder = tmp_path_factory.mktemp("data") / "raw"
    for part in ("images", "masks"):
        (folder / part).mkdir(parents=True)
    for n in range(24):
        mask = np.zeros((16, 20), np.uint8)
        mask[:, : n % 20] = 255
        cv2.imwrite(str(folder / "images" / f"{n:04}.jpg"), np.repeat(mask[..., None], 3, 2))
        cv2.imwrite(str(folder / "masks" / f"{n:04}.jpg"), mask)
    return folder


@examples(20)
@given(st.lists(st.integers(0, 23), unique=True), st.integers(2, 5), st.integers(0, 99))
def test_a_random_split_of_files_is_read_as_it_was_drawn(folder, raw, grouped, size, seed):
    lines = [grouped[start : start + size] for start in range(0, len(grouped), size)]
    groups = folder / "groups.txt"
    groups.write_text("\n".join(" ".join(f"{n:04}" for n in line) for line in lines))
    params = Split(scheme="random", seed=seed)
    table = make_split(raw, ROOT / "data" / "splits", groups, params)
    assert list(table["name"]) == [f"{n:04}" for n in range(24)]
    assert is_undivided(table, "split")
    assert table["group"].tolist() == [
        next((number for number, line in enumerate(lines) if n in line), -1) for n in range(24)
    ]
    table.to_csv(folder / "split.csv", index=False)
    pd.testing.assert_frame_equal(read_split(folder / "split.csv"), table, check_dtype=False)
    assert make_split(raw, ROOT / "data" / "splits", groups, params).equals(table)


@examples(60)
@given(tables(25, 70, parts=("train", "validation", "test")), st.integers(2, 5), st.integers(0, 99))
def test_folds_hold_every_image_but_the_test_images_once(table, number, seed):
    table.loc[: 24, "split"] = "train"
    folds = assign_folds(table, number, seed)
    assert list(folds["name"]) == list(table["name"][table["split"] != "test"])
    assert set(folds["fold"]) == set(range(number))
    assert is_undivided(table.merge(folds, on="name"), "fold")
    assert assign_folds(table, number, seed).equals(folds)


@examples(40)
@given(tables(25, 70), st.integers(2, 5), st.integers(0, 99))
def test_folds_of_lone_images_are_of_one_size_and_have_polyps_of_all_sizes(table, number, seed):
    table["group"] = -1
    folds = assign_folds(table, number, seed)["fold"]
    sizes = folds.value_counts()
    assert sizes.max() - sizes.min() <= SIZE_CLASSES
    rank = table["area_fraction"].rank(method="first") / len(table)
    for fold in range(number):
        chosen = rank[folds == fold]
        assert chosen.min() <= 1 / SIZE_CLASSES + 0.05 and chosen.max() >= 1 - 1 / SIZE_CLASSES


# Where a split or folds can't be as promised, they are refused.


@pytest.mark.parametrize(("content", "reason"), [
    pytest.param("", "can't be read: .*columns", id="empty"),
    pytest.param("name,part\n0000,train\n", "has columns .'name', 'part'.", id="another column"),
    pytest.param("name,split\n0000,train,1\n1,2,3,4\n", "can't be read|has columns", id="ragged"),
    pytest.param("name,split\n0000,exam\n", "column split has .'exam'.", id="unknown part"),
    pytest.param("name,split\n0000,\n", "column split has .''.", id="no part"),
    pytest.param("name,split\n0000,test\n0000,train\n", "names 1 images twice: 0000", id="twice"),
    pytest.param("name,split\n0000,test\n", "23 images have no part", id="too short"),
    pytest.param("name,split\n\xff,test\n", "can't be read", id="not UTF-8"),
])  # fmt: skip
def test_a_list_of_parts_that_is_not_as_expected_is_refused(tmp_path, raw, content, reason):
    (tmp_path / "pranet.csv").write_bytes(content.encode("latin-1"))
    (tmp_path / "groups.txt").touch()
    with pytest.raises(ValueError, match=rf"pranet\.csv.* {reason}"):
        make_split(raw, tmp_path, tmp_path / "groups.txt", Split(scheme="pranet", seed=0))


@pytest.mark.parametrize("column", ["width", "height", "area_fraction", "group"])
@pytest.mark.parametrize("value", ["", "many"])
def test_a_split_with_a_value_that_is_no_number_is_refused(tmp_path, column, value):
    row = {"name": "a", "width": 8, "height": 8, "area_fraction": 0.5, "split": "test", "group": -1}
    pd.DataFrame([row | {column: value}]).to_csv(tmp_path / "split.csv", index=False)
    with pytest.raises(ValueError, match=r"split\.csv can't be read"):
        read_split(tmp_path / "split.csv")


def test_a_name_in_two_groups_is_refused_with_both_lines(tmp_path, raw):
    (tmp_path / "groups.txt").write_text("0001 0002\n0003 0004\n0002 0005\n")
    with pytest.raises(ValueError, match=r"groups\.txt: 0002 is in the groups of lines 1 and 3"):
        make_split(raw, tmp_path, tmp_path / "groups.txt", Split(scheme="random", seed=0))


@pytest.mark.parametrize("groups", [[-1] * 5, [0] * 20 + [1] * 20])
def test_too_few_groups_for_a_part_are_refused(groups):
    table = pd.DataFrame({"group": groups, "area_fraction": 0.1, "split": "train"})
    with pytest.raises(ValueError, match=rf"{len(groups)} images in \d groups .* test; expected 6"):
        draw_part(table, "test", 0.1, 0)


def test_folds_that_near_duplicates_would_leave_empty_are_refused():
    table = pd.DataFrame({
        "name": list("abcdefghijklmno"), "area_fraction": np.arange(15) / 15, "split": "train",
        "group": [0] * 8 + [1] * 7,
    })  # fmt: skip
    with pytest.raises(ValueError, match=r"folds is 3; near duplicates.*fill only 2 of them"):
        assign_folds(table, 3, 0)
    with pytest.raises(ValueError, match="15 images that are not for testing are too few"):
        assign_folds(table, 4, 0)


# ------------------------------------------------------------------ masks


def encode(path, pixels, quality=100):
    """Written by OpenCV, without loss but as JPEG."""
    options = {".jpg": [cv2.IMWRITE_JPEG_QUALITY, quality]}
    options |= {".webp": [cv2.IMWRITE_WEBP_QUALITY, 101]}
    path.parent.mkdir(parents=True, exist_ok=True)
    if pixels.ndim == 3:
        pixels = pixels[..., [2, 1, 0, 3][: pixels.shape[2]]]
    path.write_bytes(cv2.imencode(path.suffix, pixels, options.get(path.suffix, []))[1].tobytes())
    return path


def as_white(mask, coloured=False):
    white = mask.astype(np.uint8) * 255
    return np.stack([white] * 3, 2) if coloured else white


def sizes_of(least, most):
    sides = st.integers(least, most)
    return st.tuples(sides, sides)


@examples(80)
@given(sizes_of(1, 40).flatmap(masks_of), st.sampled_from([".png", ".jpg"]), st.booleans())
def test_a_mask_of_the_pipeline_is_read_as_it_was_written(folder, mask, suffix, coloured):
    path = encode(folder / f"mask{suffix}", as_white(mask, coloured))
    assert np.array_equal(read_mask(path), mask)


@examples(60)
@given(
    sizes_of(32, 44).flatmap(masks_of), st.sampled_from([".png", ".jpg", ".tif", ".bmp", ".webp"]),
    st.booleans(),
)  # fmt: skip
def test_a_mask_of_a_user_is_read_as_it_was_written(folder, mask, suffix, coloured):
    path = encode(folder / f"label{suffix}", as_white(mask, coloured))
    assert np.array_equal(read_label(path, *mask.shape), mask)
    path = encode(folder / "label.png", mask.astype(np.uint8))  # of 0 and 1
    assert np.array_equal(read_label(path, *mask.shape), mask)


@examples(40)
@given(sizes_of(32, 40), sizes_of(32, 40), st.sampled_from([".png", ".jpg"]))
def test_a_mask_of_another_size_is_refused_with_both(folder, size, other, suffix):
    for part, (height, width) in (("images", size), ("masks", other)):
        encode(folder / part / f"a{suffix}", np.full((height, width), 255, np.uint8))
        (folder / part / f"a{suffix}").replace(folder / part / "a.jpg")
    if size == other:
        assert read_pair(folder, "a").mask.shape == read_label(folder / "masks/a.jpg", *size).shape
        return
    both = rf"a\.jpg is {other[1]} x {other[0]}.* {size[1]} x {size[0]}"
    for read in (lambda: read_pair(folder, "a"), lambda: read_label(folder / "masks/a.jpg", *size)):
        with pytest.raises(ValueError, match=both):
            read()


# ------------------------------------------------------------------ pictures

LOSSLESS = [".png", ".tif", ".bmp", ".webp"]
seeds = st.integers(0, 2**32 - 1)


def draw_noise(seed, size, channels, top=255, dtype=np.uint8):
    shape = (*size, channels) if channels > 1 else size
    return np.random.default_rng(seed).integers(0, top + 1, shape).astype(dtype)


@examples(80)
@given(seeds, sizes_of(32, 50), st.sampled_from([1, 3]), st.sampled_from(LOSSLESS))
def test_a_picture_without_loss_is_read_as_it_was_written(folder, seed, size, channels, suffix):
    pixels = draw_noise(seed, size, channels)
    read = read_picture(encode(folder / f"picture{suffix}", pixels))
    assert read.dtype == np.uint8 and read.shape == (*size, 3)
    assert np.array_equal(read, pixels if channels == 3 else np.stack([pixels] * 3, 2))


@examples(30)
@given(seeds, sizes_of(32, 50), st.integers(90, 100))
def test_a_jpeg_is_near_what_was_written_and_alike_for_pipeline_and_users(
    folder, seed, size, quality
):
    smooth = cv2.GaussianBlur(draw_noise(seed, size, 3), (0, 0), 4)
    path = encode(folder / "picture.jpg", smooth, quality)
    assert np.array_equal(read_picture(path), read_image(path))
    assert np.abs(read_picture(path).astype(int) - smooth).mean() < 4


@examples(60)
@given(
    seeds, sizes_of(32, 44), st.sampled_from([1, 3]), st.sampled_from([8, 10, 12, 14, 16]),
    st.sampled_from([".png", ".tif"]),
)  # fmt: skip
def test_deep_samples_are_scaled_by_the_least_depth_that_holds_them(
    folder, seed, size, channels, bits, suffix
):
    samples = draw_noise(seed, size, channels, 2**bits - 1, np.uint16)
    samples.flat[0] = 2**bits - 1
    path = folder / f"deep{suffix}"
    if suffix == ".png":
        encode(path, samples)
    else:
        tifffile.imwrite(path, samples, photometric="rgb" if channels == 3 else "minisblack")
    exact = samples.reshape(*size, channels) * (255 / (2**bits - 1))
    assert np.abs(read_picture(path) - exact).max() <= 0.5 + 1e-9


@examples(40)
@given(seeds, sizes_of(32, 44), st.sampled_from([8, 16]), st.sampled_from([".png", ".tif"]))
def test_what_is_transparent_is_darkened(folder, seed, size, bits, suffix):
    top = 2**bits - 1
    samples = draw_noise(seed, size, 4, top, np.uint8 if bits == 8 else np.uint16)
    samples[0, 0, :3] = top  # so that the depth is what it is drawn as
    read = read_picture(encode(folder / f"clear{suffix}", samples))
    exact = samples[..., :3] * (255 / top) * (samples[..., 3:] / top)
    assert np.abs(read - exact).max() <= 1.5


@examples(60)
@given(
    seeds, sizes_of(32, 44), st.sampled_from(sorted(TURNS)),
    st.sampled_from([".png", ".tif", ".webp"]), st.sampled_from(["L", "RGB", "RGBA"]),
)  # fmt: skip
def test_a_picture_is_turned_as_its_mark_says(folder, seed, size, number, suffix, mode):
    stored = Image.fromarray(draw_noise(seed, size, 4)).convert(mode)
    exif = Image.Exif()
    exif[0x112] = number
    options = {"lossless": True, "exact": True} if suffix == ".webp" else {}
    for name, mark in (("marked", {"exif": exif}), ("plain", {})):
        stored.save(folder / f"{name}{suffix}", **mark, **options)
    plain = read_picture(folder / f"plain{suffix}")
    assert np.array_equal(read_picture(folder / f"marked{suffix}"), TURNS[number](plain))
