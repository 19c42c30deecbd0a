"""Stage fetch: the data set, checked file by file, or the embedded synthetic one.

Reads   params.yaml [data], data/kvasir-seg.sha256; the address of Kvasir-SEG, or the archive or
        folder that the environment variable KVASIR_SEG_ARCHIVE names
Writes  data/raw/{images,masks}/NAME.jpg; of the synthetic data also data/raw/split.csv
"""

import os
from pathlib import Path

from effiseg.archive import Data, fetch_kvasir
from effiseg.params import load_section
from effiseg.synthetic import write_frames
from stages.alone import run_alone
from stages.paths import RAW
from stages.progress import byte_progress

MANIFEST = Path("data/kvasir-seg.sha256")


def main() -> None:
    if load_section("data", Data).source == "demo":
        write_frames(RAW)
        return
    local_copy = os.environ.get("KVASIR_SEG_ARCHIVE")
    with byte_progress("fetch") as progress:
        fetch_kvasir(RAW, MANIFEST, Path(local_copy) if local_copy else None, progress)


if __name__ == "__main__":
    run_alone(main)
