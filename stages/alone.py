"""One process at a time runs a stage; a second one is told so, and a full disk in one sentence.

`kill -9` of DVC leaves the process of a stage alive: started again at once, two would write the
same outputs. The operating system lets go of the lock when its process ends, however it ends.
"""

import os
import sys
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

from effiseg.files import FULL
from effiseg.locks import only_process

LOCKS = Path(".effiseg/locks")


def run_alone(main: Callable[..., None]) -> None:
    """Call `main` with the command's arguments, unless another process runs the same stage here.

    Of processes that torchrun started, the first one holds the lock for all.
    """
    stage = " ".join([Path(sys.argv[0]).stem, *sys.argv[1:]])
    lock = only_process(LOCKS / f"{stage.replace(' ', '-')}.lock", f"running stage {stage}")
    is_first = os.environ.get("LOCAL_RANK", "0") == "0"
    try:
        with lock if is_first else nullcontext():
            main(*sys.argv[1:])
    except OSError as error:
        if error.errno not in FULL:
            raise
        sys.exit(
            f"stage {stage}: {error}\nThe disk is full. Make room, then run `dvc repro` again; the "
            "epochs of a training that were complete are kept"
        )
