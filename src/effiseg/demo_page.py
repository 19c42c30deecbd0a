"""The demo page: an image, and what each model says of it, side by side.

A network runs once an image. When its threshold moves, the answer is drawn again from the kept
probabilities. Numbers are of the image's full size; only what is drawn is smaller where it is huge.

Shapes: S x S is a network's input size, H x W the image's own, h x w the size it is shown at.

Gradio's statistics and the browser's history of runs are off, fonts are the system's: neither the
page nor the server fetches anything from elsewhere.
"""

import os
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import NamedTuple

import cv2
import gradio as gr
import numpy as np
from gradio.utils import get_upload_folder
from numpy.typing import NDArray
from starlette.middleware import Middleware

from effiseg.answers import SMALLEST_LESION, Answer, Probability, draw_answer, read_answer
from effiseg.demo_guard import KEEP, MAX_UPLOAD, guard
from effiseg.pictures import LARGEST, SMALLEST, SUFFIXES, read_picture
from effiseg.predictors import Predictor

LOWEST, HIGHEST = 0.05, 0.95  # thresholds that can be chosen
SHOWN_SIDE = 1280  # pixels, of the longer side
QUEUE, SESSIONS = 32, 100  # requests that wait; visitors whose last image is remembered
SWEEP = 600  # seconds: how often old files are deleted
WORDS = {  # what a warning of effiseg.answers says of the answer
    "low confidence": "the model is not sure of this answer",
    "small polyp": "the marked area is small",
    "large polyp": "the marked area is large",
    "several polyps": "more than one region is marked",
    "irregular shape": "the outline is irregular",
}
INTRODUCTION = """
<h1>EffiSeg: polyps in colonoscopy images</h1>
<p><strong>Not a medical device; research and education only.</strong> The models were trained on
Kvasir-SEG (Jha et al., 2020), which is free for research and education; commercial use needs its
owners' permission.</p>
"""
LEGEND = f"""
<p>Yellow is what a model marks as polyp. Lesions are marked regions of at least
{100 * SMALLEST_LESION:g} % of the image. Confidence is the Dice, 0 to 1, that the model expects of
its own answer. A warning names a kind of answer that was wrong more often when the model was
judged; its limit holds for the model's own threshold. Uploaded images are deleted from this server
after an hour.</p>
"""
STYLE = """
.refused { border-left: 4px solid #b00020; padding: 0.4rem 0.7rem; overflow-wrap: anywhere; }
.model .answer { width: 100%; margin: 0; border: 0; border-collapse: collapse; }
.model .answer :is(tbody, tr, th, td) { border: 0; text-align: left; vertical-align: top; }
.model .answer :is(th, td) { padding: 0.3rem 0; font-weight: normal; }
.model .answer th { width: 7rem; }
#examples .grid-wrap { min-height: 0; max-height: none; overflow: visible; padding-top: 2rem; }
"""

Picture = NDArray[np.uint8]  # RGB


class Seen(NamedTuple):
    """An image that a network has seen."""

    picture: Picture  # (h, w, 3)
    height: int  # H
    width: int  # W
    probability: Probability  # (S, S)


class Column(NamedTuple):
    """The parts of the page that belong to one model."""

    seen: gr.State
    threshold: gr.Slider
    overlay: gr.Image
    numbers: gr.HTML


def build_page(models: Mapping[str, Predictor], examples: Sequence[Picture]) -> gr.Blocks:
    """The page for models, by the name they are shown under, and (H, W, 3) images to try."""
    with gr.Blocks(title="EffiSeg", analytics_enabled=False, delete_cache=(SWEEP, KEEP)) as page:
        gr.HTML(INTRODUCTION)
        with gr.Row():
            with gr.Column(scale=2, min_width=260):
                upload, message, gallery = _add_choice(examples)
            columns = [_add_model(name, predictor) for name, predictor in models.items()]
        gr.HTML(LEGEND)

        predictors = list(models.values())

        def show_file(path: str | None, *thresholds: float) -> list[object]:
            picture, refusal = read_upload(path)
            parts = show_picture(picture, predictors, thresholds)
            return [_tell(refusal), gr.Gallery(selected_index=None), *parts]

        def show_example(event: gr.SelectData, *thresholds: float) -> list[object]:
            parts = show_picture(examples[event.index], predictors, thresholds)
            return [_tell(""), None, *parts]

        thresholds = [column.threshold for column in columns]
        parts = [part for c in columns for part in (c.seen, c.overlay, c.numbers)]
        alone = {"concurrency_id": "network", "api_visibility": "private"}
        events = [upload.upload, upload.clear]
        gr.on(events, show_file, [upload, *thresholds], [message, gallery, *parts], **alone)
        gallery.select(show_example, thresholds, [message, upload, *parts], **alone)
    return page


def serve(page: gr.Blocks, host: str, port: int) -> str:
    """Serve the page in the background and return its address; `page.block_thread()` waits.

    Raises:
        OSError: the port is taken, or the host is not this machine's.
    """
    os.makedirs(get_upload_folder(), exist_ok=True)
    page.queue(max_size=QUEUE, default_concurrency_limit=1)
    try:
        page.launch(
            server_name=host,
            server_port=port,
            max_file_size=MAX_UPLOAD,
            app_kwargs={"middleware": [Middleware(guard, page=page)]},
            state_session_capacity=SESSIONS,
            theme=_pick_theme(),
            css=STYLE,
            footer_links=[],
            prevent_thread_lock=True,
            quiet=True,
            # What follows can otherwise be switched on by variables of the environment.
            share=False,
            ssr_mode=False,
            pwa=False,
            mcp_server=False,
            run_history=False,
        )
    except OSError as error:  # its own text names settings of Gradio
        raise OSError(f"{host}:{port} can't be opened: choose another port or host") from error
    return page.local_url


def read_upload(path: str | None) -> tuple[Picture | None, str]:
    """The (H, W, 3) picture in an uploaded file, or None and why not, without the server's paths.

    Both are empty where there is no file.
    """
    if path is None:
        return None, ""
    try:
        return read_picture(Path(path)), ""
    except ValueError as error:
        return None, str(error).replace(str(Path(path)), Path(path).name)
    except OSError:
        return None, f"{Path(path).name} can't be opened"


def show_picture(
    picture: Picture | None, predictors: Sequence[Predictor], thresholds: Sequence[float]
) -> list[object]:
    """What the columns show of a picture, model by model: what was seen, overlay, numbers."""
    parts = []
    for predictor, threshold in zip(predictors, thresholds, strict=True):
        seen = None if picture is None else see_picture(picture, predictor)
        parts += [seen, *draw_seen(seen, threshold, predictor.config.limits)]
    return parts


def see_picture(picture: Picture, predictor: Predictor) -> Seen:
    """Run the network on an (H, W, 3) picture."""
    height, width = picture.shape[:2]
    scale = SHOWN_SIDE / max(height, width)
    shown = picture
    if scale < 1:
        size = max(1, round(width * scale)), max(1, round(height * scale))
        shown = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    return Seen(shown, height, width, predictor.predict([picture])[0])


def draw_seen(
    seen: Seen | None, threshold: float, limits: Mapping[str, float]
) -> tuple[Picture | None, str]:
    """The (h, w, 3) overlay and the table of numbers; nothing where nothing was seen."""
    if seen is None:
        return None, ""
    answer = read_answer(seen.probability, seen.height, seen.width, threshold, limits)
    size = seen.picture.shape[1::-1]
    mask = cv2.resize(answer.mask.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST)
    return draw_answer(seen.picture, mask > 0), write_answer(answer)


def write_answer(answer: Answer) -> str:
    """An HTML table."""
    warnings = [f"<strong>{name}</strong>: {WORDS[name]}" for name in answer.warnings]
    rows = {
        "Area": f"{100 * answer.area_fraction:.1f} % of the image",
        "Lesions": str(answer.lesions),
        "Confidence": f"{answer.confidence:.2f}",
        "Warnings": "<br>".join(warnings) or "none",
    }
    cells = "".join(f"<tr><th>{name}</th><td>{text}</td></tr>" for name, text in rows.items())
    return f'<table class="answer">{cells}</table>'


def _pick_theme() -> gr.themes.Base:
    """Fonts that need no file, and small print that is dark enough to read."""
    theme = gr.themes.Default(font=("Arial", "sans-serif"), font_mono="monospace")
    return theme.set(body_text_color_subdued="*neutral_600")


def _tell(refusal: str) -> gr.HTML:
    text = f'<p class="refused" role="alert">{escape(refusal)}</p>'
    return gr.HTML(text, visible=refusal != "")


def _add_choice(examples: Sequence[Picture]) -> tuple[gr.File, gr.HTML, gr.Gallery]:
    upload = gr.File(
        label=f"Image: up to {MAX_UPLOAD // 2**20} MB, {SMALLEST} to {LARGEST} pixels a side",
        file_types=sorted(SUFFIXES),
        height=160,
        elem_id="upload",
    )
    message = gr.HTML(visible=False, elem_id="message")
    gallery = gr.Gallery(
        list(examples),
        label="Examples: synthetic frames",
        columns=2,
        height="auto",
        object_fit="contain",
        allow_preview=False,
        interactive=False,
        buttons=[],
        elem_id="examples",
    )
    return upload, message, gallery


def _add_model(name: str, predictor: Predictor) -> Column:
    config = predictor.config
    with gr.Column(scale=3, min_width=320, elem_classes="model"):
        seen = gr.State(time_to_live=KEEP)
        overlay = gr.Image(
            label=name, format="png", interactive=False, buttons=["download", "fullscreen"]
        )
        threshold = gr.Slider(
            LOWEST,
            HIGHEST,
            value=min(max(config.threshold, LOWEST), HIGHEST),
            step=0.01,
            label="Threshold",
            info=f"of the probability of polyp; the model's own is {config.threshold:g}",
            buttons=["reset"],
        )
        numbers = gr.HTML()

    def redraw(seen: Seen | None, threshold: float) -> tuple[Picture | None, str]:
        return draw_seen(seen, threshold, config.limits)

    threshold.change(
        redraw,
        [seen, threshold],
        [overlay, numbers],
        show_progress="hidden",
        trigger_mode="always_last",
        api_visibility="private",
    )
    return Column(seen, threshold, overlay, numbers)
