"""Makes `import torchvision` work beside a CPU-only build of torch.

timm does not import without torchvision. The registry's torchvision is linked against CUDA: beside
a CPU-only torch its compiled operators can't load, and its import ends in "operator
torchvision::nms does not exist". Nothing here uses these operators, so declaring their schemas is
enough. With a torchvision whose operators load, nothing of this runs.
"""

import importlib
import sys

import torch

_SCHEMA = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
_declared: list[torch.library.Library] = []  # a schema lives as long as its Library object


def import_torchvision() -> None:
    """Import torchvision; to be called before timm is imported. Raises what torchvision raises."""
    try:
        importlib.import_module("torchvision")
    except RuntimeError as error:
        if "torchvision::nms" not in str(error):
            raise
        for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
            del sys.modules[name]
        library = torch.library.Library("torchvision", "FRAGMENT")
        library.define("nms" + _SCHEMA)
        library.define("qnms" + _SCHEMA)
        _declared.append(library)
        importlib.import_module("torchvision")
