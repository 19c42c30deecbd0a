"""What each variant of EffiSegNet costs: parameters, multiply-accumulates, bytes, shapes.

    python -m benchmarks.variants       benchmarks/variants.json

Networks are built on torch's meta device, where tensors have a shape and no content: seconds for
all of them, and no memory. tools/update_readme.py makes tables of it for docs/paper-study.md.

Parts of a network: the encoder; the projections of its five scales; the fusion, which is all that
follows. A multiply-accumulate is one multiplication with its addition, in convolutions alone, for
one image: what torch counts as two operations, and what the paper's table counts as one. Norms,
activations, upsampling and sums are not counted there; they move memory, which the bytes tell.
"""

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.ceiling import count_bytes
from benchmarks.reference import PublishedEffiSegNet
from effiseg.encoders import build_encoder
from effiseg.files import write_json
from effiseg.model import EffiSegNet, GhostModule, conv_relu_norm
from effiseg.params import load_section
from effiseg.recipe import Recipe

import timm  # isort: skip  (after effiseg.encoders, which may have to stand in for torchvision)

ROOT = Path(__file__).resolve().parents[1]
CHANNELS = 32  # of the published decoder
LITE_SIZE = 224  # pixels: the smallest size of EfficientNet, so that the three compare
DRAWN = ("B0", "Lite0")  # whose shapes are kept

STEPS = {  # modules, in the order in which they run, and what they compute
    "encoder.bn1": "stem: 3x3 convolution, stride 2",
    **{f"encoder.blocks.{n}": f"encoder, stage {n + 1}" for n in range(7)},
    **{f"scales.{n}": f"projection of scale {n + 1}" for n in range(5)},
    "norm": "five scales upsampled and added, batch norm",
    "ghosts.0.primary.2": "first ghost module, pointwise half",
    "ghosts.0.cheap": "first ghost module, depthwise half",
    "ghosts.1.primary.2": "second ghost module, pointwise half",
    "ghosts.1.cheap": "second ghost module, depthwise half",
    "": "logits",
}


class Variant(NamedTuple):
    """The network in the paper's order and in ours, with equal parameters, and an image for it."""

    published: PublishedEffiSegNet
    ours: EffiSegNet
    unused: list[nn.Module]  # the published encoder's last 1x1 convolution and its norm
    images: Tensor  # (1, 3, S, S)


def build(encoder: str, size: int, decoder_channels: int = CHANNELS) -> Variant:
    """`encoder` of timm, for a square input of `size` pixels."""
    with torch.device("meta"):
        parts = build_encoder(encoder, pretrained=False)
        full = timm.create_model(encoder)
        return Variant(
            PublishedEffiSegNet(parts, decoder_channels, "nearest").eval(),
            EffiSegNet(parts, decoder_channels, "nearest").eval(),
            [full.conv_head, full.bn2],
            torch.empty(1, 3, size, size),
        )


def main() -> None:
    write_json(ROOT / "benchmarks" / "variants.json", measure_all(list_variants(ROOT)))


def list_variants(root: Path) -> dict[str, dict[str, Any]]:
    """Names with what `build` is told: the paper's, the Lite ones, both models of params.yaml."""
    with (root / "data" / "published.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    variants = {
        row["variant"]: {
            "encoder": f"tf_efficientnet_{row['variant'].lower()}",
            "size": int(row["input_px"]),
        }
        for row in rows
    }
    for n in range(3):
        variants[f"Lite{n}"] = {"encoder": f"tf_efficientnet_lite{n}", "size": LITE_SIZE}
    for name in ("baseline", "improved"):
        recipe = load_section(name, Recipe, root / "params.yaml")
        keys = ("encoder", "size", "decoder_channels")
        variants[name] = {key: getattr(recipe, key) for key in keys}
    return variants


def measure_all(variants: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """The content of variants.json."""
    built = {name: build(**arguments) for name, arguments in variants.items()}
    costs = {name: arguments | measure(built[name]) for name, arguments in variants.items()}
    shapes = {name: list_shapes(built[name]) for name in DRAWN if name in built}
    return {"variants": costs, "shapes": shapes, "layers": measure_layers()}


def measure(variant: Variant) -> dict[str, Any]:
    """Parameters, multiply-accumulates by part and order, and bytes that the fusion moves."""
    published, ours = variant.published, variant.ours
    return {
        "channels": [scale[0].in_channels for scale in ours.scales],
        "parameters": {
            "encoder": count_parameters(ours.encoder),
            "projections": count_parameters(ours.scales),
            "fusion": count_parameters(ours.norm, ours.ghosts, ours.logit),
        },
        "unused_parameters": count_parameters(*variant.unused),
        "macs_published": count_macs(published, variant.images),
        "macs": count_macs(ours, variant.images),
        "fusion_bytes_published": count_fusion_bytes(published, variant.images),
        "fusion_bytes": count_fusion_bytes(ours, variant.images),
    }


def count_parameters(*modules: nn.Module) -> int:
    return sum(parameter.numel() for module in modules for parameter in module.parameters())


def count_macs(network: EffiSegNet, images: Tensor) -> dict[str, int]:
    """Multiply-accumulates of the parts."""
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        network(images)
    counts = counter.get_flop_counts()
    own = {name.partition(".")[2]: sum(each.values()) // 2 for name, each in counts.items()}
    projections = sum(own[f"scales.{n}"] for n in range(len(network.scales)))
    total = counter.get_total_flops() // 2
    return {
        "encoder": own["encoder"],
        "projections": projections,
        "fusion": total - own["encoder"] - projections,
    }


@torch.no_grad()
def count_fusion_bytes(network: EffiSegNet, images: Tensor) -> int:
    """Bytes that the operators after the projections read and write, in float32."""
    before = count_bytes(lambda: network.extract_scales(images))
    return count_bytes(lambda: network(images)) - before


def list_shapes(variant: Variant) -> list[dict[str, str]]:
    """For each of the `STEPS`, the shape of what leaves it, in the paper's order and in ours."""
    published, ours = (
        record_shapes(network, variant.images) for network in (variant.published, variant.ours)
    )
    return [
        {"step": label, "published": published[module], "ours": ours[module]}
        for module, label in STEPS.items()
    ]


@torch.no_grad()
def record_shapes(network: nn.Module, images: Tensor) -> dict[str, str]:
    """C x H x W of the output of every module of `STEPS`."""
    shapes = {}

    def keep(name: str) -> Callable[[nn.Module, object, Tensor], None]:
        def hook(module: nn.Module, inputs: object, output: Tensor) -> None:
            shapes[name] = " x ".join(str(side) for side in output.shape[1:])

        return hook

    hooks = [network.get_submodule(name).register_forward_hook(keep(name)) for name in STEPS]
    network(images)
    for hook in hooks:
        hook.remove()
    return shapes


def measure_layers() -> dict[str, dict[str, int]]:
    """Parameters, and multiply-accumulates a pixel, of a ghost module and of what it replaces."""
    layers = {
        "ghost module": GhostModule(CHANNELS),
        "1x1 convolution": conv_relu_norm(CHANNELS, CHANNELS, kernel=1),
        "3x3 convolution": conv_relu_norm(CHANNELS, CHANNELS, kernel=3),
        "1x1 convolution of five concatenated scales": conv_relu_norm(5 * CHANNELS, CHANNELS, 1),
    }
    return {
        name: {
            "parameters": count_parameters(layer),
            "macs_per_pixel": sum(
                module.weight.numel() for module in layer.modules() if type(module) is nn.Conv2d
            ),
        }
        for name, layer in layers.items()
    }


if __name__ == "__main__":
    main()
