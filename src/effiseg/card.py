"""Card: what a published model says of itself, as the Hugging Face hub shows it.

Metadata in YAML, by huggingface_hub's own classes, then Markdown. What was measured is never typed
here: it comes from scores.json beside the model (see effiseg.shipping). A model without this file
has a card without results.
"""

from typing import Any

import cv2
import numpy as np
import pandas as pd
from huggingface_hub import EvalResult, ModelCard, ModelCardData
from numpy.typing import NDArray

from effiseg.answers import RULES, draw_answer, read_answer
from effiseg.arrays import resize_image
from effiseg.confidence import POOR_DICE
from effiseg.export import INPUT
from effiseg.hub import Config
from effiseg.markdown import write_table
from effiseg.model import EffiSegNet
from effiseg.predict import predict_probabilities
from effiseg.synthetic import draw_frame

METRICS = {"dice": ("dice", "Dice"), "miou": ("mean_iou", "IoU")}  # the hub's word, and ours
DATA, DATA_LINK = "kvasir-seg", "https://datasets.simula.no/kvasir-seg/"
TAGS = (
    "image-segmentation",
    "medical",
    "polyp-segmentation",
    "colonoscopy",
    "EffiSegNet",
    "EfficientNet",
)
EXAMPLES = (1, 5, 14)  # seeds of synthetic frames that are easy
SHOWN = (320, 272)  # pixels, width and height of each

LIMITS = """\
- Kvasir-SEG are 1000 images of one hospital group. How the model does on images of other
  endoscopes, hospitals or patients was not measured.
- Every one of these images has a polyp. How often the model marks something where there is none was
  not measured, nor how it does on video.
- Some test images have a near duplicate among the training images: the data set has a few of them.
- It is **not a medical device**. Do not use it to diagnose or to decide on a treatment."""

LICENCE = f"""\
EffiSeg's code is under the MIT licence. The weights were trained on
[Kvasir-SEG]({DATA_LINK}), which is free for research and education; for commercial use, of the
weights too, ask its owners for permission."""

CITATION = """\
```bibtex
@inproceedings{vezakis2024effisegnet,
  title     = {{EffiSegNet}: Gastrointestinal Polyp Segmentation through a Pre-Trained
               {EfficientNet}-based Network with a Simplified Decoder},
  author    = {Vezakis, Ioannis A. and Georgas, Konstantinos and Fotiadis, Dimitrios and
               Matsopoulos, George K.},
  booktitle = {Annual International Conference of the IEEE Engineering in Medicine and Biology
               Society (EMBC)},
  year      = {2024},
  note      = {arXiv:2407.16298}
}

@inproceedings{jha2020kvasir,
  title     = {{Kvasir-SEG}: A Segmented Polyp Dataset},
  author    = {Jha, Debesh and Smedsrud, Pia H. and Riegler, Michael A. and Halvorsen, P{\\aa}l and
               de Lange, Thomas and Johansen, Dag and Johansen, H{\\aa}vard D.},
  booktitle = {International Conference on Multimedia Modeling},
  pages     = {451--462},
  year      = {2020}
}
```"""


def write_card(
    config: Config,
    scores: dict[str, Any] | None,
    warnings: pd.DataFrame | None,
    address: str,
) -> str:
    """The card.

    Args:
        scores, warnings: as `effiseg.shipping.read_scores` gives them.
        address: USER/NAME, the repository that its examples name.
    """
    sections = [
        "# EffiSegNet: polyps in colonoscopy images",
        _describe(config),
        "## How to use",
        _explain_use(config, address),
    ]
    if scores is not None:
        sections += ["## Results", _tell_scores(config, scores)]
    if config.limits and warnings is not None:
        sections += ["## Warnings", _tell_warnings(config, warnings)]
    sections += ["## Limits", LIMITS, "## Licence", LICENCE, "## Citation", CITATION]
    metadata = _describe_metadata(scores, address).to_yaml()
    text = "\n\n".join(sections)
    return str(ModelCard(f"---\n{metadata}\n---\n\n{text}\n"))


def draw_example(config: Config, network: EffiSegNet) -> NDArray[np.uint8]:
    """Synthetic frames above the same with the network's answers, (2 H, N W, 3) uint8 RGB.

    Images of the data set are not ours to publish.
    """
    frames = [draw_frame(np.random.default_rng(seed)).image for seed in EXAMPLES]
    images = np.stack([resize_image(frame, config.size) for frame in frames])
    probabilities = predict_probabilities(network, images, config.test_flips)
    columns = []
    for frame, probability in zip(frames, probabilities, strict=True):
        answer = read_answer(probability, *frame.shape[:2], config.threshold, config.limits)
        pair = (frame, draw_answer(frame, answer.mask))
        shown = [cv2.resize(image, SHOWN, interpolation=cv2.INTER_AREA) for image in pair]
        columns.append(np.vstack(shown))
    return np.hstack(columns)


def _describe_metadata(scores: dict[str, Any] | None, address: str) -> ModelCardData:
    measured = {}
    if scores is not None:
        task = {"task_type": "image-segmentation", "task_name": "Polyp segmentation"}
        data = {"dataset_type": DATA, "dataset_name": "Kvasir-SEG", "dataset_split": "test"}
        measured = {
            "model_name": address.rpartition("/")[2],
            "eval_results": [
                EvalResult(
                    metric_type=kind,
                    metric_name=f"{name} of polyp, mean over images",
                    metric_value=scores[key],
                    dataset_config=scores["split"],
                    **task,
                    **data,
                )
                for key, (kind, name) in METRICS.items()
            ],
        }
    return ModelCardData(
        license="other",
        license_name="kvasir-seg-research-and-education",
        license_link=DATA_LINK,
        library_name="effiseg",
        pipeline_tag="image-segmentation",
        tags=list(TAGS),
        datasets=[DATA],
        metrics=[kind for kind, _ in METRICS.values()],
        **measured,
    )


def _describe(config: Config) -> str:
    return (
        f"It marks the pixels of polyps: EffiSegNet (Vezakis et al., 2024) on `{config.encoder}` "
        f"with {config.decoder_channels} decoder channels and {config.upsampling} upsampling, "
        f"trained on Kvasir-SEG at {config.size} x {config.size} pixels. Not a medical device.\n\n"
        "![Synthetic frames, and the same with the answers outlined](example.png)\n\n"
        "The frames are synthetic, so that no patient's image is published, and easy. They show "
        "what an answer looks like, not how good the model is."
    )


def _explain_use(config: Config, address: str) -> str:
    size = config.size
    text = f"""\
```sh
pip install '.[fast]'    # in a clone of EffiSeg's repository
effiseg predict pictures/ --out answers --model {address}
```

writes a mask and an overlay of each picture or video, and a table with area, lesions, confidence
and warnings. In Python:

```python
from effiseg.hub import EffiSegNet

network = EffiSegNet.from_pretrained("{address}")
```

gives the PyTorch network in evaluation mode: (B, 3, H, W) float32 RGB, normalised with
`network.mean` and `network.std`, to (B, 1, H, W) logits. Without EffiSeg, `model.onnx` takes
`{INPUT}`, (B, H, W, 3) uint8 RGB, and gives probabilities, (B, H, W) float32 in 0..1. H and W are
multiples of 32, best {size}, the size it was trained at:

```python
import cv2, onnxruntime

session = onnxruntime.InferenceSession("model.onnx")
picture = cv2.cvtColor(cv2.imread("picture.jpg"), cv2.COLOR_BGR2RGB)  # (H, W, 3)
small = cv2.resize(picture, ({size}, {size}), interpolation=cv2.INTER_AREA)
probability = session.run(None, {{"{INPUT}": small[None]}})[0][0]  # ({size}, {size})
mask = cv2.resize(probability, picture.shape[1::-1]) > {config.threshold}  # (H, W)
```"""
    if config.test_flips:
        text += (
            "\n\nThis is one view. The model's answer is the mean over four mirror images, as "
            "`effiseg predict` computes it."
        )
    return text


def _tell_scores(config: Config, scores: dict[str, Any]) -> str:
    head = ("mean over images", f"{scores['images']} test images")
    rows = [(name, f"{scores[key]:.4f}") for key, (_, name) in METRICS.items()]
    views = "the mean over four mirror images" if config.test_flips else "of one view"
    return (
        f"{write_table(head, rows)}\n\n"
        f"Measured with these weights on the {scores['images']} test images of Kvasir-SEG's split "
        f"`{scores['split']}`, which took no part in the training nor in a choice. Probabilities, "
        f"{views}, are resized to the image's original size and cut at {config.threshold}; each "
        "image has its score there, and the mean is over images."
    )


def _tell_warnings(config: Config, warnings: pd.DataFrame) -> str:
    rows = []
    for row in warnings.to_dict("records"):
        name = row["warning"]
        if name in RULES and name not in config.limits:
            continue  # it is never given
        given = "one of these"
        if name in RULES:
            value, is_above = RULES[name]
            given = f"{value} {'above' if is_above else 'below'} {config.limits[name]:g}"
        with_it = f"{row['poor']} of {row['images']}"
        rows.append((name, given, with_it, f"{row['poor_others']} of {row['others']}"))
    head = ("warning", "given where", "poor with it", "poor without it")
    return (
        "With an answer come warnings, where models were wrong more often on images they had not "
        f"learnt from. What they are worth on the test images, where poor is a Dice below "
        f"{POOR_DICE}:\n\n{write_table(head, rows)}"
    )
