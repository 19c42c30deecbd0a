"""Stages of the pipeline: each loads its parameters, reads files, calls the library, writes files.

They run as `python -m stages.NAME` in the repository's root, with the library that lies beside
them: in a copy made by `dvc exp run --temp` or `--queue` that is the copy's, whatever is installed.
"""

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

# torch's CPU threads wait for each other by spinning: on a machine that does anything else, a
# training step then took up to forty times as long. Read once, when torch is imported.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
