"""What is timed: training steps and predictions of three networks, and an epoch of each side."""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import torch
from torch import Tensor, nn

from benchmarks.reference import PublishedEffiSegNet, published_loader
from effiseg.arrays import Arrays
from effiseg.augment import Augmentation
from effiseg.batches import load_batches, plan_epoch
from effiseg.encoders import build_encoder
from effiseg.losses import segmentation_loss
from effiseg.model import EffiSegNet
from effiseg.precision import mixed_precision, pick_device, place_model, to_input

Step = Callable[[Tensor, Tensor], None]  # one optimiser step on images and masks


def build(kind: str, encoder: str, upsampling: str = "nearest") -> nn.Module:
    """ "reference", "ours", or "encoder": the encoder alone. Random weights."""
    torch.manual_seed(0)
    parts = build_encoder(encoder, pretrained=False)
    if kind == "encoder":
        return place_model(parts.network, pick_device())
    if kind == "ours":
        return place_model(EffiSegNet(parts, 32, upsampling), pick_device())
    return PublishedEffiSegNet(parts, 32, upsampling).to(pick_device())  # default memory layout


def make_step(kind: str, encoder: str) -> Step:
    """A training step. The reference computes in float32, the two others as our training does."""
    network, device = build(kind, encoder).train(), pick_device()
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-4, fused=kind != "reference")

    def step(images: Tensor, masks: Tensor) -> None:
        with _precision(kind, device):
            outputs = network(images)
        if kind == "encoder":
            loss = sum(features.float().mean() for features in outputs)
        else:
            loss = segmentation_loss(outputs.float(), masks, 0.5)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step


def draw_batch(kind: str, batch: int, size: int) -> tuple[Tensor, Tensor]:
    """Random images (B, 3, S, S) in the layout of that side, and masks (B, 1, S, S)."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(batch, 3, size, size, generator=generator).to(pick_device())
    masks = (torch.rand(batch, 1, size, size, generator=generator) > 0.8).float()
    if kind != "reference":
        images = images.contiguous(memory_format=torch.channels_last)
    return images, masks.to(pick_device())


def make_prediction(kind: str, encoder: str, batch: int, size: int) -> Callable[[], Tensor]:
    """The forward pass, without gradients."""
    network, device = build(kind, encoder).eval(), pick_device()
    images, _ = draw_batch(kind, batch, size)

    @torch.inference_mode()
    def predict() -> Tensor:
        with _precision(kind, device):
            return network(images)

    return predict


def read_published(folder: Path, names: list[str], batch: int, size: int) -> None:
    """One epoch of the published loader, two workers."""
    for images, _ in published_loader(folder, names, size, batch, (0.5,) * 3, (0.5,) * 3, 2):
        images.to(pick_device())


def read_ours(arrays: Arrays, network: EffiSegNet, batch: int) -> None:
    """One epoch of our loader, up to the network's input, two workers."""
    for images, _ in _batches(arrays, batch, workers=2):
        to_input(images, network, pick_device())


def train_published(step: Step, folder: Path, names: list[str], batch: int, size: int) -> None:
    """One epoch: the published loader and the literal network."""
    device = pick_device()
    loader = published_loader(folder, names, size, batch, (0.5,) * 3, (0.5,) * 3, 2)
    for images, masks in loader:
        step(images.to(device), masks.to(device))


def train_ours(step: Step, arrays: Arrays, network: EffiSegNet, batch: int) -> float:
    """One epoch of ours; the share of its time that was spent waiting for batches."""
    start, waited, device = time.perf_counter(), 0.0, pick_device()
    batches = _batches(arrays, batch)
    while True:
        asked = time.perf_counter()
        pair = next(batches, None)
        waited += time.perf_counter() - asked
        if pair is None:
            return waited / (time.perf_counter() - start)
        images, masks = pair
        step(to_input(images, network, device), masks.to(device).unsqueeze(1).float())


def _precision(kind: str, device: torch.device) -> AbstractContextManager[object]:
    return nullcontext() if kind == "reference" else mixed_precision(device)


def _batches(arrays: Arrays, batch: int, workers: int | None = None):
    plan = plan_epoch(len(arrays.images), None, batch, seed=0, epoch=0)
    return load_batches(arrays, plan, Augmentation("published"), pick_device(), workers)
