"""Compare every object of the DVC cache with its name, which is the md5 of its content.

    python tools/verify_cache.py            name those that differ
    python tools/verify_cache.py --delete   and delete them

DVC trusts an object that is write-protected without reading it. What is deleted here, the next
`dvc pull` fetches again, or the next `dvc repro` makes again: outputs that are in the workspace are
not touched. Exits with 1 where an object differs.
"""

import hashlib
import sys
from collections.abc import Iterator
from pathlib import Path

CACHE = Path(__file__).resolve().parents[1] / ".dvc" / "cache"


def main(arguments: list[str]) -> None:
    if arguments not in ([], ["--delete"]):
        sys.exit(f"unknown arguments {arguments}; expected none, or --delete")
    damaged = list(find_damaged(CACHE))
    for path in damaged:
        print(f"damaged: {path}")
        if arguments:
            path.unlink()
    words = "deleted: run dvc pull or dvc repro" if arguments else "damaged (--delete deletes them)"
    sys.exit(f"{len(damaged)} objects {words}" if damaged else 0)


def find_damaged(cache: Path) -> Iterator[Path]:
    """Objects whose content has another md5 than their name says."""
    for path in sorted((cache / "files" / "md5").glob("??/*")):
        if path.is_file():
            digest = hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()
            if digest != path.parent.name + path.name.removesuffix(".dir"):
                yield path


if __name__ == "__main__":
    main(sys.argv[1:])
