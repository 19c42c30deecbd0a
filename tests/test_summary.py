"""Summaries: what is said of a row and of all results, in two languages, and from whose numbers."""

import json
import re
import shutil
import string
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from effiseg.answers import RULES
from effiseg.confidence import POOR_DICE
from effiseg.error_kinds import GOOD_DICE, KINDS
from effiseg.files import write_table
from effiseg.findings import STRATA
from effiseg.hub import SHIPPED
from effiseg.labelled import judge
from effiseg.predictors import open_predictor
from effiseg.results_summary import tell_results
from effiseg.sentences import IMAGE, RESULTS, WORDS
from effiseg.summary import LANGUAGES, read_rows, show_percent, tell_image
from effiseg.synthetic import draw_frame

ROOT = Path(__file__).resolve().parents[1]
BOTH = pytest.mark.parametrize("language", LANGUAGES)
NUMBER = re.compile(r"[-+]?\d+(?:\.\d+)?")
ROW = {  # 80 of 100 polyp pixels found, 20 of 100 marked ones are no polyp: Dice 160 / 200
    "name": "a", "kind": "ragged boundary", "dice": 0.8, "tp": 80, "fp": 20, "fn": 20,
    "lesions_missed": 0, "lesions_found": 1, "lesions_false": 0, "area_fraction": 0.125,
    "polyps": 1, "solidity": 0.95, "relief": 10.0, "contrast": 20.0, "boundary_gradient": 2.0,
    "blur": -1.5, "highlights": 0.1, "brightness": 60.0, "touches_border": 0, "inset": 0,
    "inset_touches": 0,
}  # fmt: skip
OPTIONAL = {"expected_dice": 0.85, "suspect": False, "warnings": ""}


def write_rows(folder, *changes, drop=()):
    """images.csv of rows that differ from ROW; names are a, b, c…"""
    rows = [ROW | {"name": string.ascii_lowercase[n]} | row for n, row in enumerate(changes)]
    path = folder / "images.csv"
    pd.DataFrame(rows).drop(columns=list(drop)).to_csv(path, index=False)
    return path


def tell(folder, row, language="en", **options):
    """What is said of a table of one row."""
    rows = read_rows(write_rows(folder, row, **options)).to_dict("records")
    return tell_image(rows[0], language).text


# ------------------------------------------------------------------ words


def list_fields(template):
    return Counter(field for _, field, _, _ in string.Formatter().parse(template) if field)


@pytest.mark.parametrize("templates", [IMAGE, RESULTS], ids=["image", "results"])
def test_both_languages_have_the_same_templates_with_the_same_fields(templates):
    assert templates.keys() == set(LANGUAGES)
    english, korean = templates["en"], templates["ko"]
    assert list(english) == list(korean)
    for key in english:
        assert list_fields(english[key]) == list_fields(korean[key]), key


@pytest.mark.parametrize("templates", [IMAGE, RESULTS], ids=["image", "results"])
def test_both_languages_have_the_same_numbers_in_their_templates(templates):
    for key, english in templates["en"].items():
        texts = [re.sub(r"\{.*?\}", "", text) for text in (english, templates["ko"][key])]
        assert list_numbers(texts[0]) == list_numbers(texts[1]), key


def list_numbers(text):
    """How often each is told; English writes out zero alone."""
    return Counter(float(number) for number in NUMBER.findall(text.replace("zero", "0")))


def test_korean_sentences_have_no_english_words_but_names():
    texts = [*IMAGE["ko"].values(), *RESULTS["ko"].values(), *WORDS.values()]
    for text in texts:
        found = set(re.findall("[A-Za-z]+", re.sub(r"\{.*?\}", "", text)))
        assert found <= {"Dice", "EffiSeg"}, text


def test_every_word_of_the_tables_has_a_korean_one():
    assert WORDS.keys() == {*KINDS, *STRATA, *RULES}
    assert len(set(WORDS.values())) == len(WORDS)


def test_every_kind_of_error_has_a_sentence_of_its_own():
    for say in IMAGE.values():
        assert len({say[kind] for kind in KINDS}) == len(KINDS)
        assert all(list_fields(say[kind]) == {"name": 1} for kind in KINDS)


@BOTH
def test_sentences_end_with_a_full_stop(language):
    for text in (*IMAGE[language].values(), *RESULTS[language].values()):
        assert text.endswith("."), text


# ------------------------------------------------------------------ one image, by hand


def test_an_image_is_told_as_by_hand(tmp_path):
    assert tell(tmp_path, OPTIONAL) == (
        "For a the model's outline is off to both sides. "
        "Its answer and the annotation agree to a Dice of 0.80 (1 is perfect; from 0.9 on an "
        "answer counts as good). "
        "It leaves out 20 % of the polyp's area, and 20 % of what it marks is no polyp. "
        "Polyps cover 12 % of the image. "
        "The model itself expected a Dice of 0.85. The answer carried no warning."
    )


def test_an_image_is_told_in_korean_as_by_hand(tmp_path):
    assert tell(tmp_path, OPTIONAL, "ko") == (
        "a: 모델이 그린 경계가 안팎으로 모두 어긋났다. "
        "모델의 답과 주석의 일치도(Dice)는 0.80이다(1이 완전한 일치, 0.9 이상이면 양호). "
        "용종 면적의 20 %를 표시하지 않았고, 표시한 영역의 20 %는 용종이 아니다. "
        "용종은 이미지 면적의 12 %를 차지한다. "
        "모델 스스로 예상한 Dice는 0.85이다. 이 답에는 경고가 없었다."
    )


@pytest.mark.parametrize(("tp", "fp", "fn", "missed", "added"), [
    pytest.param(50, 0, 50, "50 %", "0 %", id="half"),
    pytest.param(75, 25, 25, "25 %", "25 %", id="quarter"),
    pytest.param(0, 10, 90, "100 %", "100 %", id="beside"),
    pytest.param(100, 0, 0, "0 %", "0 %", id="perfect"),
    pytest.param(99, 1, 1, "1.0 %", "1.0 %", id="one in a hundred"),
    pytest.param(901, 99, 99, "9.9 %", "9.9 %", id="below ten"),
    pytest.param(900, 100, 100, "10 %", "10 %", id="ten"),
    pytest.param(2, 4, 1, "33 %", "67 %", id="thirds"),
])  # fmt: skip
@BOTH
def test_counts_become_shares_of_polyp_and_of_what_is_marked(
    tmp_path, language, tp, fp, fn, missed, added
):
    text = tell(tmp_path, {"tp": tp, "fp": fp, "fn": fn}, language)
    assert IMAGE[language]["pixels"].format(missed=missed, added=added) in text


@pytest.mark.parametrize("kind", KINDS)
@BOTH
def test_every_kind_of_error_is_told(tmp_path, language, kind):
    text = tell(tmp_path, {"kind": kind}, language)
    assert text.startswith(IMAGE[language][kind].format(name="a"))


@pytest.mark.parametrize(("missed", "found", "false", "told"), [
    pytest.param(0, 1, 0, None, id="one polyp, found"),
    pytest.param(0, 2, 0, "Polyps found: 2 of 2. Marked regions that touch no polyp: 0.", id="two"),
    pytest.param(1, 2, 0, "Polyps found: 2 of 3. Marked regions that touch no polyp: 0.",
                 id="one of three missed"),
    pytest.param(1, 0, 0, "Polyps found: 0 of 1. Marked regions that touch no polyp: 0.",
                 id="the only one missed"),
    pytest.param(0, 1, 4, "Polyps found: 1 of 1. Marked regions that touch no polyp: 4.",
                 id="false regions"),
])  # fmt: skip
def test_polyps_are_counted_where_there_is_something_to_count(tmp_path, missed, found, false, told):
    row = {"lesions_missed": missed, "lesions_found": found, "lesions_false": false}
    text = tell(tmp_path, row)
    assert (told in text) if told else ("Polyps found" not in text)


NO_POLYP = {"tp": 0, "fn": 0, "lesions_found": 0, "area_fraction": 0.0, "polyps": 0}


@BOTH
def test_an_annotation_without_polyp_is_told_as_such(tmp_path, language):
    say = IMAGE[language]
    wrong = NO_POLYP | {"kind": "false lesion", "dice": 0.0, "fp": 30, "lesions_false": 1}
    right = NO_POLYP | {"kind": "good", "dice": 1.0, "fp": 0}
    wrong, right = (tell(tmp_path, row, language) for row in (wrong, right))
    assert say["no polyp"] in wrong and say["nothing marked"] not in wrong
    assert f"{say['no polyp']} {say['nothing marked']}" in right
    assert "nan" not in wrong + right and say["area"].format(area="0 %") in right


@BOTH
def test_an_answer_that_marks_nothing_is_told_as_such(tmp_path, language):
    row = {"kind": "lesion missed", "dice": 0.0, "tp": 0, "fp": 0, "fn": 100,
           "lesions_found": 0, "lesions_missed": 1}  # fmt: skip
    text = tell(tmp_path, row, language)
    assert IMAGE[language]["nothing marked"] in text
    assert IMAGE[language]["no polyp"] not in text and "100 %" not in text


@pytest.mark.parametrize(("dice", "expected", "template"), [
    pytest.param(0.3, 0.9, "did not know", id="poor but sure"),
    pytest.param(0.3, 0.5, "knew", id="poor and unsure"),
    pytest.param(0.9, 0.5, "doubted", id="good but unsure"),
    pytest.param(0.9, 0.9, "sure", id="good and sure"),
    pytest.param(POOR_DICE, POOR_DICE, "sure", id="at the limit"),
    pytest.param(0.7999, POOR_DICE, "did not know", id="just poor"),
])  # fmt: skip
@pytest.mark.parametrize("column", ["expected_dice", "confidence"])
@BOTH
def test_whether_the_model_knew_is_told(tmp_path, language, column, dice, expected, template):
    text = tell(tmp_path, {"dice": dice, column: expected}, language)
    for name in ("did not know", "knew", "doubted", "sure"):
        sentence = IMAGE[language][name].format(expected=f"{expected:.2f}", poor=POOR_DICE)
        assert (sentence in text) == (name == template)


@pytest.mark.parametrize(("dice", "shown"), [
    pytest.param(0.7999, "0.7999", id="poor"), pytest.param(0.796, "0.796", id="poor, 3 digits"),
    pytest.param(0.8, "0.80", id="not poor"), pytest.param(0.8996, "0.8996", id="not good"),
    pytest.param(0.9, "0.90", id="good"), pytest.param(0.9984, "0.998", id="not perfect"),
    pytest.param(1.0, "1.00", id="perfect"), pytest.param(0.123456, "0.12", id="far from any"),
])  # fmt: skip
def test_a_dice_is_not_rounded_across_a_limit(tmp_path, dice, shown):
    """"0.80, below 0.8" would contradict itself, and so would "0.90" of what is not good."""
    text = tell(tmp_path, {"dice": dice, "expected_dice": dice})
    assert f"agree to a Dice of {shown} (" in text
    assert re.search(rf"expected a Dice of {re.escape(shown)}[.,]( |$)", text)


@BOTH
def test_a_suspect_annotation_is_told(tmp_path, language):
    told = IMAGE[language]["suspect"]
    assert told in tell(tmp_path, {"suspect": True}, language)
    assert told not in tell(tmp_path, {"suspect": False}, language)
    assert told not in tell(tmp_path, {}, language)


def test_warnings_are_told_in_both_languages(tmp_path):
    row = {"warnings": "low confidence; several polyps"}
    assert "The answer carried the warnings: low confidence, several polyps." in tell(tmp_path, row)
    assert "이 답에 붙은 경고: 낮은 신뢰도, 여러 개의 용종." in tell(tmp_path, row, "ko")


def test_an_answer_without_warning_is_told_where_the_table_has_warnings(tmp_path):
    rows = read_rows(write_rows(tmp_path, {"warnings": ""}, {"warnings": "small polyp"}))
    texts = [tell_image(row, "en").text for row in rows.to_dict("records")]
    assert "carried no warning." in texts[0] and "the warnings: small polyp." in texts[1]
    assert "warning" not in tell(tmp_path, {})


@pytest.mark.parametrize("rule", RULES)
def test_every_warning_can_be_told(tmp_path, rule):
    for language, word in (("en", rule), ("ko", WORDS[rule])):
        assert word in tell(tmp_path, {"warnings": rule}, language)


# ------------------------------------------------------------------ strata


@pytest.mark.parametrize("stratum", STRATA)
@BOTH
def test_every_stratum_is_told_by_the_limits_beside_the_table(tmp_path, language, stratum):
    limits = {name: np.inf if rule.is_above else -np.inf for name, rule in STRATA.items()}
    limits[stratum] = -1e9 if STRATA[stratum].is_above else 1e9
    table = pd.DataFrame({"stratum": list(limits), "limit": list(limits.values())})
    table.replace([np.inf, -np.inf], np.nan).to_csv(tmp_path / "limits.csv", index=False)
    word = stratum if language == "en" else WORDS[stratum]
    assert IMAGE[language]["strata"].format(strata=word) in tell(tmp_path, {}, language)


def test_without_limits_beside_it_the_quartiles_are_the_tables_own(tmp_path):
    changes = [{"contrast": value} for value in (10.0, 20.0, 30.0, 40.0, 50.0)]
    rows = read_rows(write_rows(tmp_path, *changes)).set_index("name")
    assert list(rows["low contrast"].sort_index()) == [True, False, False, False, False]
    (tmp_path / "limits.csv").write_text(
        "stratum,limit\n" + "".join(f"{name},35\n" for name in STRATA)
    )
    rows = read_rows(tmp_path / "images.csv").set_index("name")
    assert list(rows["low contrast"].sort_index()) == [True, True, True, False, False]


def test_attributes_that_are_unknown_put_an_image_in_no_stratum(tmp_path):
    unknown = dict.fromkeys(("solidity", "relief", "contrast", "boundary_gradient", "highlights",
                             "brightness", "touches_border"))  # fmt: skip
    rows = read_rows(write_rows(tmp_path, unknown, {}, {"contrast": 5.0})).to_dict("records")
    text = next(tell_image(row, "en").text for row in rows if row["name"] == "a")
    assert "image counts as" not in text and "nan" not in text


def test_damaged_limits_beside_the_table_are_refused_by_file(tmp_path):
    path = write_rows(tmp_path, {})
    (tmp_path / "limits.csv").write_text("stratum,limit\ndark,3\n")
    with pytest.raises(ValueError, match=r"limits\.csv has limits of 1 strata"):
        read_rows(path)


def test_the_lowest_dice_comes_first_and_equal_ones_stay_in_order(tmp_path):
    changes = [{"dice": value} for value in (0.5, 0.2, 0.5, 0.9, 0.2)]
    assert list(read_rows(write_rows(tmp_path, *changes))["name"]) == list("beacd")


# ------------------------------------------------------------------ real tables


def test_a_row_that_the_library_judges_can_be_told(tmp_path):
    frame = draw_frame(np.random.default_rng([7, 3]))
    predictor = open_predictor(SHIPPED / "baseline", "torch")
    judged = [
        judge("frame", *frame, predictor).row,
        judge("nothing", frame.image, np.zeros_like(frame.mask), predictor).row,
        judge("black", np.zeros_like(frame.image), np.zeros_like(frame.mask), predictor).row,
    ]
    path = tmp_path / "images.csv"
    write_table(path, pd.DataFrame(judged))
    rows = {row["name"]: row for row in read_rows(path).to_dict("records")}
    for row in judged:
        for language in LANGUAGES:
            text = tell_image(rows[row["name"]], language).text
            assert IMAGE[language][row["kind"]].format(name=row["name"]) in text
            assert "nan" not in text.lower()
            for word in filter(None, row["warnings"].split("; ")):
                assert (word if language == "en" else WORDS[word]) in text
    text = tell_image(rows["frame"], "en").text
    missed = judged[0]["fn"] / (judged[0]["fn"] + judged[0]["tp"])
    (found,) = re.findall(r"leaves out (\S+) %", text)
    assert float(found) == pytest.approx(100 * missed, abs=0.5)


def read_committed():
    images = pd.read_csv(ROOT / "analysis/images.csv", dtype={"name": str})
    return images.set_index("name")


def is_near(told, value):
    """Whether a number is the value, rounded to the digits that are told."""
    digits = len(told.partition(".")[2])
    return abs(float(told) - value) <= 0.5 * 10**-digits + 1e-9


def test_every_number_of_every_image_is_that_of_the_committed_table():
    images = read_committed()
    pattern = re.compile(r"agree to a Dice of (\S+) \(1 is perfect; from (\S+) on")
    for row in read_rows(ROOT / "analysis/images.csv").to_dict("records"):
        text, true = tell_image(row, "en").text, images.loc[row["name"]]
        dice, limit = pattern.search(text).groups()
        assert is_near(dice, true["dice"]) and float(limit) == GOOD_DICE
        assert (float(dice) >= 0.9) == (true["kind"] == "good") == (true["dice"] >= 0.9)
        (area,) = re.findall(r"cover (\S+) % of the image", text)
        assert is_near(area, 100 * true["area_fraction"])
        if shares := re.search(r"leaves out (\S+) % .* and (\S+) % of what", text):
            assert is_near(shares[1], 100 * true["fn"] / (true["fn"] + true["tp"]))
            assert is_near(shares[2], 100 * true["fp"] / (true["fp"] + true["tp"]))
        else:
            assert true["tp"] + true["fp"] == 0 and "It marks nothing." in text
        (expected,) = re.findall(r"expected a Dice of ([\d.]+\d)", text)
        assert is_near(expected, true["expected_dice"])
        assert ("unsure itself" in text) == (true["dice"] < 0.8 and true["expected_dice"] < 0.8)
        assert ("did not know" in text) == (true["dice"] < 0.8 <= true["expected_dice"])
        assert ("annotation may be wrong" in text) == true["suspect"]
        if counts := re.search(r"found: (\d+) of (\d+)\. .* no polyp: (\d+)\.", text):
            all_polyps = true["lesions_found"] + true["lesions_missed"]
            numbers = [true["lesions_found"], all_polyps, true["lesions_false"]]
            assert [int(number) for number in counts.groups()] == numbers
        else:
            assert true["lesions_missed"] == 0 == true["lesions_false"] or "nothing" in text


def test_the_strata_of_every_image_are_those_of_the_committed_limits():
    images = read_committed()
    limits = pd.read_csv(ROOT / "analysis/limits.csv").set_index("stratum")["limit"]
    for row in read_rows(ROOT / "analysis/images.csv").to_dict("records"):
        true = images.loc[row["name"]]
        expected = [
            name for name, rule in STRATA.items()
            if (true[rule.attribute] > limits[name] if rule.is_above
                else true[rule.attribute] < limits[name])
        ]  # fmt: skip
        found = re.search(r"images it counts as: (.*?)\.", tell_image(row, "en").text)
        assert (found[1].split(", ") if found else []) == expected


def test_english_and_korean_tell_the_same_numbers_of_every_image():
    for row in read_rows(ROOT / "analysis/images.csv").to_dict("records"):
        texts = [tell_image(row, language).text for language in LANGUAGES]
        assert all(text.count(row["name"]) == 1 for text in texts)
        english, korean = (list_numbers(text.replace(row["name"], "")) for text in texts)
        assert english == korean


# ------------------------------------------------------------------ all results


def compute_results():
    """The numbers of each paragraph in the order of the English text, by pandas alone."""
    proof = json.loads((ROOT / "metrics/proof.json").read_text())
    summary = json.loads((ROOT / "analysis/summary.json").read_text())
    split = pd.read_csv(ROOT / "data/split.csv")
    seeds = pd.read_csv(ROOT / "metrics/seeds.csv")
    images = pd.read_csv(ROOT / "analysis/images.csv")
    strata = pd.read_csv(ROOT / "analysis/strata.csv")
    ablation = pd.read_csv(ROOT / "experiments/ablation.csv")
    warnings = pd.read_csv(ROOT / "metrics/warnings_improved.csv").query("warning=='any warning'")
    by_model = {model: rows["dice"] for model, rows in seeds.groupby("model")}
    scores = [
        value for name in ("baseline", "improved")
        for value in (by_model[name].mean(), len(by_model[name]))
    ]  # fmt: skip
    wrong = images.loc[images["dice"] < 0.9, "kind"].value_counts()
    hard = strata[(strata["high"] < 0) & (strata["p_holm"] < 0.05)].sort_values("difference")
    tried = ablation[ablation["schedule"].eq("screening") & ablation["verdict"].ne("reference")]
    counts = [
        warnings["images"].sum(), len(split[split["split"] == "test"]),
        warnings["poor"].sum() + warnings["poor_others"].sum(), 0.8, warnings["poor"].sum(),
    ]  # fmt: skip
    return [
        [(split["split"] == "train").sum(), (split["split"] == "test").sum(), 0, 1],
        [*scores, proof["wins"], proof["losses"], proof["ties"]],
        [95, proof["dice_gain_low"], proof["dice_gain_high"]],
        [len(images), 100 * (images["dice"] >= 0.9).mean(), 0.9, *wrong[:3],
         *hard[["dice", "dice_elsewhere"]].to_numpy().ravel()],
        [summary["annotators_frames"], summary["annotators_dice"], 100 * summary["r2_forest"],
         images["suspect"].sum()],
        [len(tried), tried["verdict"].eq("better").sum()],
        [counts[0], counts[1], counts[2], counts[3], counts[4]],
        [],
    ]  # fmt: skip


def test_every_number_of_the_results_is_found_again_in_the_committed_tables():
    paragraphs = tell_results(ROOT, "en")
    expected = compute_results()
    assert len(paragraphs) == len(expected)
    for paragraph, values in zip(paragraphs, expected, strict=True):
        found = NUMBER.findall(paragraph.text)
        assert len(found) == len(values), paragraph.text
        for told, value in zip(found, values, strict=True):
            assert is_near(told.lstrip("+"), value), (told, value)


def test_kinds_and_strata_of_the_results_are_the_most_frequent_and_hardest():
    images, strata = (pd.read_csv(ROOT / f"analysis/{name}.csv") for name in ("images", "strata"))
    wrong = images.loc[images["kind"] != "good", "kind"].value_counts().head(3)
    told = ", ".join(f"{kind} ({number})" for kind, number in wrong.items())
    english, korean = (tell_results(ROOT, language)[3].text for language in LANGUAGES)
    assert f"among the others: {told}." in english
    assert f"{WORDS[wrong.index[0]]} ({wrong.iloc[0]})" in korean
    hard = strata[(strata["high"] < 0) & (strata["p_holm"] < 0.05)].sort_values("difference")
    places = [english.index(f"{name} (") for name in hard["stratum"]]
    assert places == sorted(places)
    others = set(strata["stratum"]) - set(hard["stratum"])
    assert not [name for name in others if f" {name} (0." in english]


def test_english_and_korean_tell_the_same_numbers_of_the_results():
    english, korean = (tell_results(ROOT, language) for language in LANGUAGES)
    assert len(english) == len(korean)
    for one, other in zip(english, korean, strict=True):
        assert list_numbers(one.text) == list_numbers(other.text)
        assert one.is_fixed == other.is_fixed


def find_verdict():
    """What the committed interval shows."""
    proof = json.loads((ROOT / "metrics/proof.json").read_text(encoding="utf-8"))
    low, high = (proof[f"dice_gain_{end}"] for end in ("low", "high"))
    return "better" if low > 0 else "worse" if high < 0 else "not shown"


def test_what_can_be_claimed_and_what_not_is_fixed():
    for language in LANGUAGES:
        scores, gain, variants, limits = (
            p.text for p in tell_results(ROOT, language) if p.is_fixed
        )
        assert limits == RESULTS[language]["limits"]
        verdict = find_verdict()
        for text, template in ((scores, "scores"), (gain, verdict), (variants, "variants")):
            start, end = re.split(r"\{.*\}", RESULTS[language][template])
            assert text.startswith(start) and text.endswith(end)


def test_kinds_and_strata_are_names_that_nobody_rewords():
    row = read_rows(ROOT / "analysis/images.csv").iloc[0].to_dict()
    strata = [name for name in STRATA if row[name]]
    assert strata
    assert tell_image(row, "en").names == (row["name"], *strata)
    assert tell_image(row, "ko").names == (row["name"], *(WORDS[name] for name in strata))
    names = set(tell_results(ROOT, "en")[3].names)
    assert names & set(KINDS) and names & set(STRATA)
    warned = row | {"warnings": "low confidence; small polyp"}
    assert "low confidence" in tell_image(warned, "en").names


def test_the_told_verdict_is_that_of_the_committed_proof():
    verdict = json.loads((ROOT / "metrics/proof.json").read_text())["verdict"]
    text = tell_results(ROOT, "en")[2].text
    words = {"better": "recipe is better", "worse": "recipe is worse", "not shown": "not shown"}
    assert words[find_verdict()] in verdict and words[find_verdict()] in text
    low, high = re.search(r"([-+]0\.\d{4}) to ([-+]0\.\d{4})", verdict).groups()
    assert f"between {low} and {high}." in text


# ------------------------------------------------------------------ other results

TABLES = [
    "analysis/images.csv", "analysis/kinds.csv", "analysis/strata.csv", "analysis/summary.json",
    "data/split.csv", "experiments/ablation.csv", "metrics/proof.json", "metrics/seeds.csv",
    "metrics/warnings_improved.csv",
]  # fmt: skip


@pytest.fixture
def copy(tmp_path):
    """The committed tables, to be changed."""
    for name in TABLES:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


def change_json(path, **changes):
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def change_table(path, change):
    change(pd.read_csv(path, keep_default_na=False)).to_csv(path, index=False)


@BOTH
def test_the_files_that_are_listed_are_enough(copy, language):
    assert tell_results(copy, language) == tell_results(ROOT, language)


@pytest.mark.parametrize(("low", "high", "verdict"), [
    pytest.param(0.001, 0.02, "better", id="above zero"),
    pytest.param(-0.02, -0.001, "worse", id="below zero"),
    pytest.param(-0.01, 0.02, "not shown", id="around zero"),
    pytest.param(0.0, 0.02, "not shown", id="from zero on"),
    pytest.param(-0.02, 0.0, "not shown", id="up to zero"),
    pytest.param(0.00002, 0.02, "better", id="hardly above zero"),
])  # fmt: skip
@BOTH
def test_the_verdict_follows_the_interval(copy, language, low, high, verdict):
    change_json(copy / "metrics/proof.json", dice_gain_low=low, dice_gain_high=high)
    paragraph = tell_results(copy, language)[2]
    told = {"low": f"{low:+.4f}", "high": f"{high:+.4f}"}
    if low == 0.00002:  # "+0.0000" would not be above zero
        told["low"] = "+0.00002"
    assert paragraph.text == RESULTS[language][verdict].format(**told) and paragraph.is_fixed


@BOTH
def test_one_training_of_a_model_says_nothing_of_the_recipe(copy, language):
    proof = json.loads((copy / "metrics/proof.json").read_text(encoding="utf-8"))
    change_table(copy / "metrics/seeds.csv", lambda table: table.drop_duplicates("model"))
    ends = {end: f"{proof[f'dice_gain_{end}']:+.4f}" for end in ("low", "high")}
    paragraph = tell_results(copy, language)[2]
    assert paragraph.text == RESULTS[language]["one seed"].format(**ends) and paragraph.is_fixed


@BOTH
def test_without_an_interval_too_few_images_are_told(copy, language):
    change_json(copy / "metrics/proof.json", dice_gain_low=None, dice_gain_high=None)
    assert tell_results(copy, language)[2].text == RESULTS[language]["too few images"]


@pytest.mark.parametrize(("share", "told"), [
    (0, "0 %"), (1, "100 %"), (0.5, "50 %"), (0.072, "7.2 %"), (0.9996, "99.96 %"),
    (0.00004, "0.004 %"), (0.996, "99.6 %"), (0.0995, "10 %"), (0.0994, "9.9 %"),
])  # fmt: skip
def test_a_share_is_neither_nothing_nor_everything_where_it_is_not(share, told):
    assert show_percent(share) == told


@BOTH
def test_without_an_evident_stratum_nothing_is_called_hard(copy, language):
    change_table(copy / "analysis/strata.csv", lambda table: table.assign(p_holm=0.05))
    text = tell_results(copy, language)[3].text
    assert text.endswith(RESULTS[language]["nothing hard"])


def test_a_stratum_whose_interval_reaches_zero_is_not_called_hard(copy):
    def change(table):
        return table.assign(high=table["high"].where(table["stratum"] != "several polyps", 0.0))

    change_table(copy / "analysis/strata.csv", change)
    text = tell_results(copy, "en")[3].text
    assert "several polyps" not in text and "irregular shape (" in text


@BOTH
def test_where_nobody_annotated_twice_nothing_is_said_of_annotators(copy, language):
    change_json(copy / "analysis/summary.json", annotators_frames=0, annotators_dice=None)
    text = tell_results(copy, language)[4].text
    assert text.startswith(RESULTS[language]["unexplained"][:8])


def test_a_forest_that_explains_nothing_is_not_told_as_a_negative_share(copy):
    change_json(copy / "analysis/summary.json", r2_forest=-0.25)
    assert ", 0 % of the differences" in tell_results(copy, "en")[4].text


@BOTH
def test_results_without_a_good_answer_are_told(copy, language):
    change_table(copy / "analysis/kinds.csv", lambda table: table[table["kind"] != "good"])
    assert " 0 %" in tell_results(copy, language)[3].text


@pytest.mark.parametrize("name", TABLES)
def test_a_file_of_the_results_that_is_missing_is_named(copy, name):
    (copy / name).unlink()
    with pytest.raises(FileNotFoundError, match=re.escape(Path(name).name)):
        tell_results(copy, "en")


@pytest.mark.parametrize("content", [
    pytest.param(b"", id="empty"), pytest.param(b"\xff\xfe\x00", id="not in UTF-8"),
    pytest.param(b"[" * 100_000, id="deep"), pytest.param(b"[1]", id="of something else"),
])  # fmt: skip
@pytest.mark.parametrize("name", TABLES)
def test_a_damaged_file_of_the_results_is_refused_by_name(copy, name, content):
    (copy / name).write_bytes(content)
    with pytest.raises(ValueError, match=re.escape(Path(name).name)) as error:
        tell_results(copy, "en")
    assert len(str(error.value)) < 1000


@pytest.mark.parametrize("name", [name for name in TABLES if name.endswith(".csv")])
def test_a_table_of_the_results_that_lacks_a_column_is_refused_with_it(copy, name):
    whole = pd.read_csv(copy / name, keep_default_na=False)
    refused = 0
    for column in whole.columns:
        whole.drop(columns=column).to_csv(copy / name, index=False)
        try:
            tell_results(copy, "en")
        except ValueError as error:
            assert f"{copy / name} has no column {column}" in str(error)
            refused += 1
    assert refused


@pytest.mark.parametrize(("name", "key"), [
    ("metrics/proof.json", "dice_gain_low"), ("metrics/proof.json", "wins"),
    ("analysis/summary.json", "r2_forest"), ("analysis/summary.json", "annotators_dice"),
])  # fmt: skip
@pytest.mark.parametrize("value", [None, "0.5", float("nan"), 10**400],
                         ids=["null", "text", "nan", "endless"])
def test_a_number_of_the_results_that_is_none_is_refused_by_file_and_key(copy, name, key, value):
    change_json(copy / name, **{key: value})
    with pytest.raises(ValueError, match=rf"{re.escape(Path(name).name)}.*{key}"):
        tell_results(copy, "en")


@pytest.mark.parametrize(("name", "column", "old", "new"), [
    ("analysis/kinds.csv", "kind", "too small", "[[A]]"),
    ("analysis/kinds.csv", "kind", "too small", "{dice}"),
    ("analysis/strata.csv", "stratum", "several polyps", "unheard of"),
    ("data/split.csv", "split", "train", "training"),
    ("metrics/seeds.csv", "model", "improved", "better"),
    ("metrics/warnings_improved.csv", "warning", "any warning", "every warning"),
])  # fmt: skip
@BOTH
def test_a_row_of_the_results_that_is_unknown_or_missing_is_refused_by_name(
    copy, language, name, column, old, new
):
    def change(table):
        return table.assign(**{column: table[column].replace(old, new)})

    change_table(copy / name, change)
    with pytest.raises(ValueError, match=re.escape(Path(name).name)):
        tell_results(copy, language)


# ------------------------------------------------------------------ damaged tables


@pytest.mark.parametrize("column", ROW)
def test_a_table_without_a_column_is_refused_with_it(tmp_path, column):
    path = write_rows(tmp_path, {}, drop=[column])
    with pytest.raises(ValueError, match=rf"images\.csv has no column {column}"):
        read_rows(path)


@pytest.mark.parametrize(("change", "told"), [
    pytest.param({"kind": "perfect"}, "kind 'perfect' is none of good", id="unknown kind"),
    pytest.param({"kind": "Good"}, "kind 'Good' is none of", id="kind in capitals"),
    pytest.param({"kind": "x" * 10_000}, "kind 'xx", id="endless kind"),
    pytest.param({"kind": ""}, "kind nan is none of", id="no kind"),
    pytest.param({"name": ""}, "column name", id="no name"),
    pytest.param({"name": "b"}, "column name does not name every image once", id="a name twice"),
    pytest.param({"dice": ""}, "column dice", id="no dice"),
    pytest.param({"dice": "high"}, "column dice", id="dice in words"),
    pytest.param({"dice": 1.2}, "column dice is not of numbers from 0 to 1", id="dice above 1"),
    pytest.param({"dice": float("inf")}, "column dice", id="endless dice"),
    pytest.param({"tp": -1}, "column tp is not of numbers from 0", id="negative pixels"),
    pytest.param({"fn": ""}, "column fn", id="no pixels"),
    pytest.param({"lesions_found": ""}, "column lesions_found", id="no polyps counted"),
    pytest.param({"area_fraction": ""}, "column area_fraction", id="no area"),
    pytest.param({"expected_dice": "sure"}, "column expected_dice", id="confidence in words"),
    pytest.param({"confidence": -0.1}, "column confidence", id="negative confidence"),
    pytest.param({"suspect": "perhaps"}, "column suspect", id="perhaps suspect"),
    pytest.param({"suspect": 2}, "column suspect", id="two times suspect"),
    pytest.param({"warnings": "low confidence; [[A]]"}, "warnings '[[A]]' is none of low",
                 id="unknown warning"),
    pytest.param({"solidity": "round"}, "column solidity", id="an attribute in words"),
])  # fmt: skip
@pytest.mark.parametrize("filled", [True, False], ids=["another row is right", "each row"])
def test_what_can_not_be_told_is_refused_by_file_and_column(tmp_path, change, told, filled):
    others = {key: OPTIONAL.get(key, ROW.get(key, 0.5)) for key in change}
    path = write_rows(tmp_path, change, others | {"name": "b"} if filled else change)
    with pytest.raises(ValueError, match=r"images\.csv") as error:
        read_rows(path)
    assert told in str(error.value)
    assert len(str(error.value)) < 1000


@pytest.mark.parametrize("content", [
    pytest.param(b"", id="empty"), pytest.param(b"\xff\xfe", id="not in UTF-8"),
    pytest.param(b"\x00" * 100, id="zeros"), pytest.param(b"name,kind\n", id="a header alone"),
    pytest.param(b'name,kind\n"a,good\n', id="an open quote"),
    pytest.param(",".join(ROW).encode(), id="no rows"),
])  # fmt: skip
def test_what_is_no_table_of_images_is_refused_by_file(tmp_path, content):
    (tmp_path / "images.csv").write_bytes(content)
    with pytest.raises(ValueError, match=r"images\.csv"):
        read_rows(tmp_path / "images.csv")


NAMES = [
    "007", "NA", "1e5", "nan", "None", "{name}", "{0.__class__}", "{", "}}", "%s", "[[A]]", "[[B]]",
    "x" * 10_000, "a\nb", "a\r\nb", "\x1b[31m", "ward/a b", " a ", "용종 1", "½", "a, b", 'a "b"',
    "\u202etxt", "the model", "0.80",
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES, ids=range(len(NAMES)))
@BOTH
def test_an_image_is_told_whatever_it_is_called(tmp_path, language, name):
    plain = tell(tmp_path, OPTIONAL | {"name": "PLACE"}, language)
    (row,) = read_rows(write_rows(tmp_path, OPTIONAL | {"name": name})).to_dict("records")
    paragraph = tell_image(row, language)
    assert paragraph.names == (name,)
    assert paragraph.text == plain.replace("PLACE", name)
