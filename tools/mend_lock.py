"""Remove DVC's own lock file where a kill or a full disk cut it off: DVC refuses to go on with it.

    python tools/mend_lock.py

`.dvc/tmp/rwlock` names the files that running commands of DVC read and write. It is JSON; while a
command of DVC writes it, it may be cut off for a moment.
"""

import json
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
MOMENT = 2.0  # seconds


def main(root: Path = ROOT) -> None:
    lock = root / ".dvc" / "tmp" / "rwlock"
    if is_cut_off(lock):
        time.sleep(MOMENT)
        if is_cut_off(lock):
            lock.unlink()
            print(f"removed {lock}, which was cut off", file=sys.stderr)


def is_cut_off(path: Path) -> bool:
    try:
        json.loads(path.read_bytes())
    except FileNotFoundError:
        return False
    except ValueError:
        return True
    return False


if __name__ == "__main__":
    main()
