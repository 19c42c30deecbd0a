"""Recipe: what a training is told, as the sections `train`, `baseline` and `improved` say it."""

from dataclasses import dataclass
from typing import Literal

from effiseg.params import require, require_seed

Policy = Literal[
    "none",
    "published",
    "published_code",
    "likelier",
    "likelier_rigid",
    "likelier_rigid_weaker_colour",
    "rigid",
    "wide",
]
Upsampling = Literal["nearest", "bilinear"]
KNOWN_ADDITIONS = (  # of effiseg.augment.ADDITIONS
    "smaller_polyps", "larger_polyps", "lower_contrast", "blur", "highlights", "inset",
    "black_corner",
)  # fmt: skip
LARGEST_BATCH = 4096  # images; like other upper bounds far above any use, against slips
MOST_EPOCHS = 10_000


@dataclass(frozen=True, kw_only=True)
class Train:
    """Section `train`: what both trainings share."""

    pretrained: bool | str  # ImageNet weights: true, false, or a file
    batch_size: int  # images
    lr: float  # at the start
    seed: int
    devices: int  # processes on this machine, a GPU each where there are GPUs; 0: every GPU
    deterministic: bool  # on a GPU: the same bytes each time, but slower

    def __post_init__(self) -> None:
        batch, devices = self.batch_size, self.devices
        require("batch_size", batch, 2 <= batch <= LARGEST_BATCH, f"2 to {LARGEST_BATCH}")
        require("lr", self.lr, 0 < self.lr < 1, "a number between 0 and 1")
        require_seed(self.seed)
        shares = devices == 0 or (0 < devices <= batch and batch % devices == 0)
        expected = f"0 (every GPU), or a number that divides batch_size, which is {batch}"
        require("devices", devices, shares, expected)


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Sections `baseline` and `improved`: where the two models may differ."""

    encoder: str  # an EfficientNet of timm
    decoder_channels: int
    upsampling: Upsampling
    size: int  # pixels, side of the square input
    epochs: int
    augmentation: Policy  # see effiseg.augment
    additions: tuple[str, ...]  # to the policy, of effiseg.augment.ADDITIONS
    copy_paste: float  # share of the images that receive a polyp of another one, 0..1
    multi_scale: bool  # each batch at one of three sizes
    boundary_loss: bool  # pixels near an outline weigh more
    false_negative_weight: float  # in the Tversky loss; 0.5 is Dice, as published
    near_pixel_weight: float  # of the difference between near pixels; 0 as published
    deep_supervision: bool  # every scale of the decoder has a loss of its own
    weights: Literal["last", "average", "best"]  # of all epochs; best by validation Dice
    follow_findings: bool  # train with the remedies of analysis/findings.yaml
    test_flips: bool  # predict the mean over four mirror images
    test_scales: bool  # and over three sizes

    def __post_init__(self) -> None:
        require_network(self.decoder_channels, self.size)
        for name in self.additions:
            require("additions", name, name in KNOWN_ADDITIONS, f"names of {KNOWN_ADDITIONS}")
        require("epochs", self.epochs, 1 <= self.epochs <= MOST_EPOCHS, f"1 to {MOST_EPOCHS}")
        require("copy_paste", self.copy_paste, 0 <= self.copy_paste <= 1, "0 to 1")
        weight = self.false_negative_weight
        require("false_negative_weight", weight, 0 < weight < 1, "between 0 and 1")
        weight = self.near_pixel_weight
        require("near_pixel_weight", weight, 0 <= weight <= 1000, "0 to 1000")


def require_network(decoder_channels: int, size: int) -> None:
    """What can be built and fed: `require` of both keys."""
    even = 2 <= decoder_channels <= 1024 and decoder_channels % 2 == 0
    require("decoder_channels", decoder_channels, even, "an even number from 2 to 1024")
    require("size", size, 32 <= size <= 2048, "32 to 2048 pixels")
