"""Name two git revisions, the tags `baseline` and `improved`, for `dvc metrics diff`.

    python tools/revisions.py

Each is HEAD with one change: report.model selects that model, and metrics/metrics.json holds its
scores, as the stage `report` would write them. They are made from what is committed, without
training, checkout, cache or a change of the working tree.
"""

import hashlib
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from ruamel.yaml import YAML  # comes with dvc; keeps comments and order

MODELS = ("baseline", "improved")
SELECTED = "metrics/metrics.json"


def main() -> None:
    if git("rev-parse", "--verify", "--quiet", "HEAD", check=False).returncode:
        sys.exit("There is no commit here: run this in a git clone of the project.")
    for model in MODELS:
        branch = f"refs/heads/{model}"
        if not git("show-ref", "--verify", "--quiet", branch, check=False).returncode:
            sys.exit(f"A branch is called '{model}'; rename it, as the tag would be ambiguous.")
    for model in MODELS:
        tag_revision(model)
    print("Tagged baseline and improved. Now: dvc metrics diff baseline improved")


def tag_revision(model: str) -> None:
    """Commit HEAD with `model` selected, outside every branch, and tag it."""
    scores = read_committed(f"metrics/{model}.json")
    files = {
        SELECTED: scores,
        "params.yaml": edit_yaml("params.yaml", lambda p: p["report"].update(model=model)),
        "dvc.lock": edit_yaml("dvc.lock", lambda lock: select_in_lock(lock, model, scores)),
    }
    with tempfile.TemporaryDirectory() as folder:
        index = {"GIT_INDEX_FILE": str(Path(folder) / "index")}
        git("read-tree", "HEAD", env=index)
        for path, content in files.items():
            blob = git("hash-object", "-w", "--stdin", stdin=content).stdout.decode().strip()
            git("update-index", "--add", "--cacheinfo", f"100644,{blob},{path}", env=index)
        tree = git("write-tree", env=index).stdout.decode().strip()
    date = git("show", "--no-patch", "--format=%cI", "HEAD").stdout.decode().strip()
    who = {
        f"GIT_{role}_{key}": value
        for role in ("AUTHOR", "COMMITTER")
        for key, value in (("NAME", "EffiSeg"), ("EMAIL", "effiseg@localhost"), ("DATE", date))
    }
    message = f"Scores of the {model} model as metrics/metrics.json"
    commit = git("commit-tree", tree, "-p", "HEAD", "-m", message, env=who).stdout.decode().strip()
    git("tag", "--force", model, commit)


def select_in_lock(lock: dict, model: str, scores: bytes) -> None:
    """What the stage `report` would have recorded."""
    stage = lock["stages"]["report"]
    stage["params"]["params.yaml"]["report.model"] = model
    for output in stage["outs"]:
        if output["path"] == SELECTED:
            output["md5"], output["size"] = hashlib.md5(scores).hexdigest(), len(scores)


def edit_yaml(path: str, change) -> bytes:
    yaml = YAML()
    yaml.preserve_quotes, yaml.width = True, 1000
    content = yaml.load(read_committed(path).decode())
    change(content)
    with tempfile.TemporaryFile("w+", encoding="utf-8") as stream:
        yaml.dump(content, stream)
        stream.seek(0)
        return stream.read().encode()


def read_committed(path: str) -> bytes:
    done = git("show", f"HEAD:{path}", check=False)
    if done.returncode:
        sys.exit(f"{path} is not committed: run `dvc repro`, commit its results, and try again.")
    return done.stdout


def git(
    *arguments: str, env: dict[str, str] | None = None, stdin: bytes = b"", check: bool = True
) -> subprocess.CompletedProcess:
    return subprocess.run(
        ["git", *arguments], env=os.environ | (env or {}), input=stdin, check=check,
        capture_output=True,
    )


if __name__ == "__main__":
    main()
