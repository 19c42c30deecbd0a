"""Stages of the pipeline: each loads its parameters, reads files, calls the library, writes files.

They run as `python -m stages.NAME` in the repository's root, with the library that lies beside
them: in a copy made by `dvc exp run --temp` or `--queue` that is the copy's, whatever is installed.
"""

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

# Read once, when torch is imported. Its CPU threads wait for each other some microseconds by
# spinning, then asleep: always asleep, training was a quarter slower; always spinning, on a machine
# that does anything else, up to forty times. Large tensors lie in large pages.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("GOMP_SPINCOUNT", "20000")
os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
