"""What a Space of the Hugging Face hub runs: the demo page with the models of the package.

A Space has to listen on all addresses; anywhere else only this machine can open the page.
"""

import os

from effiseg.commands import main


def pick_host() -> str:
    """The address to listen on. A Space is known by SPACE_ID in its environment."""
    return "0.0.0.0" if os.environ.get("SPACE_ID") else "127.0.0.1"


if __name__ == "__main__":
    main(["demo", "--host", pick_host()])
