"""Try models on a web page: what two of them mark in an image, side by side.

Reads   images that are dropped on the page: JPEG, PNG, TIFF, BMP, WebP, up to 20 MB
Writes  nothing but temporary files, which are deleted after an hour and at the end; their folder
        can be read by this user alone (GRADIO_TEMP_DIR: where to make it)

Only this machine can open the page, unless --host says otherwise: 0.0.0.0 opens it to the network,
for everybody there. Not a medical device.
"""

import argparse
import importlib.util
import os
import signal
import tempfile

import numpy as np

from effiseg.commands.options import add_model_options, open_chosen
from effiseg.hub import SHIPPED
from effiseg.synthetic import draw_frame

EXAMPLES = 4
TEMPORARY = "GRADIO_TEMP_DIR"
SEED = 7  # of the examples, which are obvious, flat and misleading


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--port", default=7860, type=int)
    add_model_options(parser)
    parser.add_argument(
        "--compare",
        default=SHIPPED / "baseline",
        help="a second model, shown on the left; '' for none; default: the baseline",
    )


def run(options: argparse.Namespace) -> int:
    if importlib.util.find_spec("gradio") is None:
        raise ModuleNotFoundError('the page needs gradio: pip install "effiseg[demo]"')
    models = {}
    for source in dict.fromkeys((str(options.compare), str(options.model))):
        if source:
            predictor = open_chosen(argparse.Namespace(**vars(options) | {"model": source}))
            models[source if predictor.name in models else predictor.name] = predictor
    frames = [draw_frame(np.random.default_rng([SEED, n])) for n in range(EXAMPLES)]
    with tempfile.TemporaryDirectory(prefix="effiseg-", dir=os.getenv(TEMPORARY)) as folder:
        os.environ[TEMPORARY] = folder  # else all programs with Gradio share one
        from effiseg.demo_page import build_page, serve  # Gradio reads it at import

        signal.signal(signal.SIGTERM, signal.default_int_handler)  # it ends as with Ctrl+C
        page = build_page(models, [frame.image for frame in frames])
        print(f"the page is at {serve(page, options.host, options.port)} (Ctrl+C ends it)")
        page.block_thread()
    return 0
