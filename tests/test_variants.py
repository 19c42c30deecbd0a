"""The study of the paper: its counts, its generated tables, and its links."""

import json
import re
import sys
from pathlib import Path

import pandas as pd
import pytest
import torch
from torch import nn

from benchmarks.variants import build, count_macs, list_variants, measure_all
from effiseg.metrics import Counts, dice

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tools"))
import update_readme  # noqa: E402

DOCUMENT = "docs/paper-study.md"
TEXT = (ROOT / DOCUMENT).read_text(encoding="utf-8")
COMMITTED = json.loads((ROOT / "benchmarks" / "variants.json").read_text(encoding="utf-8"))
VARIANTS = COMMITTED["variants"]
PUBLISHED = pd.read_csv(ROOT / "data" / "published.csv", dtype=str).query("pretrained == 'yes'")
BYTES = ("fusion_bytes_published", "fusion_bytes")  # which depend a little on torch's version
TAPPED = (1, 2, 3, 5, 7)  # stages of the encoder


def test_every_variant_is_counted_with_its_encoder_and_size():
    counted = {
        name: {key: VARIANTS[name][key] for key in arguments}
        for name, arguments in list_variants(ROOT).items()
    }
    assert list(VARIANTS) == list(counted), "run: python -m benchmarks.variants"
    assert counted == list_variants(ROOT), "run: python -m benchmarks.variants"


def test_the_committed_counts_are_those_of_the_committed_code():
    few = {name: list_variants(ROOT)[name] for name in ("B0", "Lite0", "improved")}
    computed = measure_all(few)
    assert computed["shapes"] == COMMITTED["shapes"]
    assert computed["layers"] == COMMITTED["layers"]
    for name, now in computed["variants"].items():
        before = dict(VARIANTS[name])
        for key in BYTES:
            assert now.pop(key) == pytest.approx(before.pop(key), rel=0.05)
        assert now == before, "run: python -m benchmarks.variants"


def to_the_last_digit(number):
    """A printed number, and half a unit of its last digit as tolerance."""
    return pytest.approx(float(number), abs=0.5 * 10 ** -len(number.partition(".")[2]))


@pytest.mark.parametrize("row", PUBLISHED.to_dict("records"), ids=lambda row: row["variant"])
def test_the_counts_are_the_papers_to_its_last_digit(row):
    cost = VARIANTS[row["variant"]]
    with_unused = sum(cost["parameters"].values()) + cost["unused_parameters"]
    assert with_unused / 1e6 == to_the_last_digit(row["params_millions"])
    assert sum(cost["macs_published"].values()) / 1e9 == to_the_last_digit(row["gmacs"])


def test_multiply_accumulates_are_those_of_the_convolutions():
    """Counted a second way: weights of each convolution, times the pixels that it gives."""
    variant = build("tf_efficientnet_b0", 96)
    expected = count_macs(variant.published, variant.images)
    counted = []

    def count(layer, inputs, output):
        counted.append(layer.weight.numel() * output.shape[-2] * output.shape[-1])

    for layer in variant.published.modules():
        assert not isinstance(layer, nn.Linear)
        if isinstance(layer, nn.Conv2d):
            layer.register_forward_hook(count)
    with torch.no_grad():
        variant.published(variant.images)
    assert sum(expected.values()) == sum(counted)


def test_the_fusion_of_224_pixels_is_what_a_calculation_by_hand_gives():
    pointwise, depthwise, logit = 32 * 16, 16 * 9, 32  # a pixel
    full = 224 * 224
    assert VARIANTS["Lite0"]["macs_published"]["fusion"] == full * (
        2 * (pointwise + depthwise) + logit
    )
    half = pointwise * full // 4  # the first ghost module's, at half resolution
    split = 16 * 16 * full // 4 + 16 * 16 * full  # the second's, each half at its own resolution
    assert VARIANTS["Lite0"]["macs"]["fusion"] == half + split + full * (2 * depthwise + logit)


@pytest.mark.parametrize("name", VARIANTS)
def test_the_order_saves_work_where_the_side_is_a_multiple_of_32(name):
    cost = VARIANTS[name]
    ours, theirs = cost["macs"], cost["macs_published"]
    assert (ours["fusion"] < theirs["fusion"]) == (cost["size"] % 32 == 0)
    assert (ours["encoder"], ours["projections"]) == (theirs["encoder"], theirs["projections"])


@pytest.mark.parametrize("name", COMMITTED["shapes"])
def test_the_five_scales_leave_the_stages_that_the_document_names(name):
    shapes = {row["step"]: row["ours"].split(" x ") for row in COMMITTED["shapes"][name]}
    stages = [shapes[f"encoder, stage {n}"] for n in TAPPED]
    assert [int(channels) for channels, *_ in stages] == VARIANTS[name]["channels"]
    for n, (_, *side) in enumerate(stages):
        assert shapes[f"projection of scale {n + 1}"] == ["32", *side]


def test_the_document_tells_the_committed_numbers():
    filled = update_readme.fill(TEXT, ROOT, DOCUMENT)
    assert filled == TEXT, "run: python tools/update_readme.py"


def test_a_document_without_one_of_its_parts_is_refused():
    without = TEXT.replace("<!-- shapes -->", "")
    with pytest.raises(ValueError, match=r"docs/paper-study\.md has no part <!-- shapes -->"):
        update_readme.fill(without, ROOT, DOCUMENT)


def test_the_example_of_the_document_is_right():
    images = [Counts(10_000, 0, 0, 0), Counts(0, 0, 100, 9_900)]
    mean, pooled = sum(map(dice, images)) / 2, dice(Counts(*map(sum, zip(*images, strict=True))))
    assert f"The mean Dice is {mean:.1f}. The pooled Dice is {pooled:.3f}." in TEXT


def slugs_of(text):
    """The anchors that GitHub gives to the headings of a document."""
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("link", sorted(set(re.findall(r"\]\((?!https?:)([^)]+)\)", TEXT))))
def test_each_link_of_the_document_leads_somewhere(link):
    target, _, anchor = link.partition("#")
    path = (ROOT / "docs" / target).resolve() if target else ROOT / DOCUMENT
    assert path.is_relative_to(ROOT)
    assert path.is_file()
    assert not anchor or anchor in slugs_of(path.read_text(encoding="utf-8"))
