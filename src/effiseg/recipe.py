"""Recipe: what a training is told, as the sections `train`, `baseline` and `improved` say it."""

from dataclasses import dataclass
from typing import Literal

from effiseg.params import require

Policy = Literal["none", "published", "wide"]
Upsampling = Literal["nearest", "bilinear"]


@dataclass(frozen=True, kw_only=True)
class Train:
    """Section `train`: what both trainings share."""

    size: int  # pixels, side of the square input
    epochs: int
    batch_size: int  # images
    lr: float  # at the start
    seed: int
    devices: int  # processes on this machine, a GPU each where there are GPUs; 0: every GPU
    deterministic: bool  # on a GPU: the same bytes each time, but slower

    def __post_init__(self) -> None:
        require("size", self.size, 32 <= self.size <= 2048, "32 to 2048 pixels")
        require("epochs", self.epochs, self.epochs >= 1, "at least 1")
        require("batch_size", self.batch_size, self.batch_size >= 2, "at least 2")
        require("lr", self.lr, 0 < self.lr < 1, "a number between 0 and 1")
        require("seed", self.seed, self.seed >= 0, "0 or more")
        require("devices", self.devices, self.devices >= 0, "0 (every GPU) or more")


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Sections `baseline` and `improved`: where the two models differ."""

    augmentation: Policy  # see effiseg.augment
    upsampling: Upsampling
    weights: Literal["last", "average", "best"]  # of all epochs; best by validation Dice
    follow_findings: bool  # train with the remedies of analysis/findings.yaml
    test_flips: bool  # predict the mean over four mirror images
