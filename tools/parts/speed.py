"""The parts that tell how fast training and prediction are, and which goals are met."""

import re
from pathlib import Path

from parts.committed import read_json, read_rows

GOALS = {  # ends of records' names in benchmarks/results.json, and the goal for their ratio
    ("training step", ("batch 8", "batch 16")): ("a training step, times the reference", 3.0),
    ("training step", ("encoder alone",)): ("a training step, share of the encoder alone", 0.8),
    ("epoch", ("batch 8",)): ("an epoch, times the reference", 3.0),
    ("data path", ("data path",)): ("the data path, times the reference", 5.0),
}
LONGEST_WAIT = 0.05  # share of an epoch
FRAME_RATE = 25  # a second: real time
LARGEST = 3  # operators of the profile that are named
NETWORK = re.compile(r"network, (?P<size>\d+) px, batch (?P<batch>\d+): (?P<name>.+)")
PREDICTION_GOALS = {  # networks of benchmarks/prediction.json, and the goal for the fastest of them
    "the same network, B0": ("b0, ", 4.0),
    "the shipped baseline (Lite0)": ("shipped baseline, ", 6.0),
}


def write_speed_goals(root: Path) -> str:
    """The goals of training and of prediction, and what was measured."""
    training, prediction = (
        read_json(root / "benchmarks" / f"{name}.json")
        for name in ("results", "prediction")
    )
    lines = [f"Measured on: {training[0]['device']}.", "", *write_goals(training)]
    return "\n".join([*lines, *write_prediction_goals(list_networks(prediction), prediction)])


def write_speed(root: Path) -> str:
    """The table of benchmarks/results.json."""
    records = read_json(root / "benchmarks" / "results.json")
    rows = [f"Measured on: {records[0]['device']}.", ""]
    rows += ["| | reference | ours | unit | ratio |", "|---|---|---|---|---|"]
    rows += [
        f"| {r['name']} | {r['reference']:g} | {r['ours']:g} | {r['unit']} | {r['ratio']:g} |"
        for r in records
    ]
    return "\n".join([*rows, "", *write_goals(records), "", write_profile(root)])


def write_goals(records: list[dict]) -> list[str]:
    """A line for each goal: met, or missed by which measurement."""
    lines = []
    for (start, ends), (title, goal) in GOALS.items():
        ratios = {
            r["name"]: r["ratio"]
            for r in records
            if r["name"].startswith(start) and r["name"].endswith(ends)
        }
        if not ratios:
            raise ValueError(f"benchmarks/results.json has no record {start} ... {ends}")
        missed = [f"{name} ({ratio:g})" for name, ratio in ratios.items() if ratio < goal]
        verdict = f"missed by {'; '.join(missed)}" if missed else "met"
        lines.append(f"- Goal for {title}: at least {goal:g}: {verdict}.")
    waited = next(r["ours"] for r in records if "spent waiting" in r["name"])
    verdict = "met" if waited <= LONGEST_WAIT else "missed"
    lines.append(
        f"- Goal for the share of an epoch spent waiting: at most {LONGEST_WAIT:g}: {verdict} "
        f"({waited:g})."
    )
    return lines


def write_profile(root: Path) -> str:
    """What a training step spends most time on, from benchmarks/profile.csv."""
    rows = read_rows(root / "benchmarks" / "profile.csv")[:LARGEST]
    parts = [f"{100 * float(r['share']):.0f} % `{r['operator']}`" for r in rows]
    return f"A training step spends {', '.join(parts)} (`benchmarks/profile.csv`)."


def write_prediction(root: Path) -> str:
    """The tables of benchmarks/prediction.json, and its goals."""
    records = read_json(root / "benchmarks" / "prediction.json")
    networks = list_networks(records)
    columns = list(next(iter(networks.values())))
    title = f"Measured on: {records[0]['device']}. Images a second, and times the reference."
    rows = [title, ""]
    rows += [f"| network alone | {' | '.join(columns)} |", "|---|" + "---|" * len(columns)]
    first = next(iter(networks.values()))
    cells = [f"{first[column]['reference']:.3g}" for column in columns]
    rows.append(f"| reference: B0, eager float32 PyTorch | {' | '.join(cells)} |")
    for name, row in networks.items():
        cells = [f"{row[c]['ours']:.3g} ({row[c]['ratio']:.2g}x)" for c in columns]
        rows.append(f"| {name} | {' | '.join(cells)} |")
    rows += ["", "| whole prediction | reference | ours | unit | ratio |", "|---|---|---|---|---|"]
    for r in records:
        if not NETWORK.fullmatch(r["name"]):
            numbers = f"{r['reference']:g} | {r['ours']:g} | {r['unit']} | {r['ratio']:g}"
            rows.append(f"| {r['name']} | {numbers} |")
    return "\n".join([*rows, "", *write_prediction_goals(networks, records)])


def list_networks(records: list[dict]) -> dict[str, dict[str, dict]]:
    """The record of each network and input, such as "352 px, batch 8"."""
    networks: dict[str, dict[str, dict]] = {}
    for row in records:
        if match := NETWORK.fullmatch(row["name"]):
            batch = "" if match["batch"] == "1" else f", batch {match['batch']}"
            column = f"{match['size']} px{batch}"
            networks.setdefault(match["name"], {})[column] = row
    return networks


def write_prediction_goals(networks: dict[str, dict[str, dict]], records: list[dict]) -> list[str]:
    """A line for each goal; of the backends, the fastest counts."""
    lines = []
    for title, (start, goal) in PREDICTION_GOALS.items():
        own = [rows for name, rows in networks.items() if name.startswith(start)]
        best = {size: max(r[size]["ratio"] for r in own) for size in ("224 px", "352 px")}
        words = ", ".join(f"{ratio:.2g} at {size}" for size, ratio in best.items())
        verdict = "met" if min(best.values()) >= goal else "missed"
        lines.append(f"- Goal for {title}: at least {goal:g} times: {verdict} ({words}).")
    videos = [r for r in records if r["name"].startswith("video")]
    for verdict, is_met in (("met by", True), ("missed by", False)):
        names = [
            f"{r['name'].split(' and ')[1]} ({r['ours']:.3g})"
            for r in videos
            if (r["ours"] >= FRAME_RATE) == is_met
        ]
        if names:
            start = f"- Goal for video: at least {FRAME_RATE} frames a second"
            lines.append(f"{start}: {verdict} {', '.join(names)}.")
    return lines
