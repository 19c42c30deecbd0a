"""Set up .venv in the clone: exact versions of requirements.lock, and the project itself.

    python tools/setup_environment.py

Does nothing when the environment already fits. An interrupted set-up begins anew from an empty
folder, as pip may have left half a package. Needs Python 3.10 or newer and nothing else.
"""

import hashlib
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
ENVIRONMENT = ROOT / ".venv"
STAMP = ENVIRONMENT / "effiseg.stamp"
INPUTS = ("requirements.lock", "pyproject.toml")
UNFINISHED = "unfinished"  # in the stamp while packages are installed


def main() -> None:
    if sys.version_info < (3, 10):  # noqa: UP036  (it runs on whatever Python people have)
        found = ".".join(map(str, sys.version_info[:3]))
        sys.exit(f"This is Python {found}; EffiSeg needs 3.10 or newer. Run this with a newer one.")
    expected = fingerprint(ROOT)
    if STAMP.is_file() and STAMP.read_text() == expected:
        return
    print(f"Setting up {ENVIRONMENT} (a few minutes the first time)", flush=True)
    was_interrupted = STAMP.is_file() and STAMP.read_text() == UNFINISHED
    venv.create(ENVIRONMENT, with_pip=True, clear=was_interrupted)
    STAMP.write_text(UNFINISHED)
    python = ENVIRONMENT / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    pip = [str(python), "-m", "pip", "install", "--disable-pip-version-check", "--no-input"]
    for arguments in (["-r", "requirements.lock"], ["--no-deps", "--editable", "."]):
        done = subprocess.run([*pip, *arguments], cwd=ROOT)
        if done.returncode:
            sys.exit(f"pip could not install {' '.join(arguments)} (see above). Run this again.")
    STAMP.write_text(expected)


def fingerprint(root: Path) -> str:
    """sha256 over what decides the environment: the pinned versions, the package, the Python."""
    digest = hashlib.sha256(sys.version.encode())
    for name in INPUTS:
        digest.update((root / name).read_bytes())
    return digest.hexdigest()


if __name__ == "__main__":
    main()
