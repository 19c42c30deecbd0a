"""Upload a model to the Hugging Face hub, with its card and an ONNX file.

Reads   a folder of a model, or a repository of the hub; the token, from where `hf auth login` keeps
        it or from HF_TOKEN
Writes  one commit with the files of `effiseg export`, into a repository that is made where there
        is none

With --dry-run the files are made and listed, and nothing is uploaded.
"""

import argparse
from pathlib import Path
from tempfile import TemporaryDirectory

from effiseg.commands.export import add_source, export_model, list_files
from effiseg.hub import find_address, upload_folder


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--repo-id", required=True, metavar="USER/NAME", help="the repository")
    parser.add_argument("--dry-run", action="store_true", help="list the files, upload nothing")
    parser.add_argument(
        "--private", action="store_true", help="make it private; refused where it is public already"
    )
    add_source(parser)


def run(options: argparse.Namespace) -> int:
    address = find_address(options.repo_id)
    with TemporaryDirectory(prefix="effiseg-") as temporary:
        folder = Path(temporary) / options.repo_id.rpartition("/")[2]
        export_model(options.model, options.repo_id, folder)
        print(list_files(folder))
        if options.dry_run:
            kind = "private" if options.private else "public"
            print(f"not uploaded; without --dry-run they go to {address}, {kind} where it is new")
            return 0
        print(upload_folder(folder, options.repo_id, options.private, "Upload by EffiSeg"))
    return 0
