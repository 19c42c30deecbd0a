"""The publication, literally: its network in the order of its drawing, and its loader.

Source: Vezakis et al., EffiSegNet, 2024 (arXiv:2407.16298). No part of the pipeline uses this; it
is what ours is compared with, in tests for the function and in the benchmark for the time.
"""

from pathlib import Path

import albumentations as A
import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset

from effiseg.augment import published_transforms
from effiseg.model import EffiSegNet


class PublishedEffiSegNet(EffiSegNet):
    """Five full-size upsamplings, their sum, norm, two ghost modules that concatenate, a logit.

    The same parameters under the same names as ours.
    """

    def forward(self, images: Tensor) -> Tensor:  # (B, 3, H, W)
        size = images.shape[-2:]
        x = self.norm(
            sum(
                F.interpolate(scale(features), size=size, mode="nearest")
                for scale, features in zip(self.scales, self.encoder(images), strict=True)
            )
        )  # (B, K, H, W)
        for ghost in self.ghosts:
            primary = ghost.primary(x)
            x = torch.cat([primary, ghost.cheap(primary)], dim=1)
        return self.logit(x)  # (B, 1, H, W)


class PublishedDataset(Dataset):
    """Decodes, resizes with OpenCV's Lanczos filter and augments an image whenever it is asked.

    The last step of our augmentation is a faster elastic transform; here albumentations' own.
    """

    def __init__(self, folder: Path, names: list[str], size: int, mean, std) -> None:
        self.folder, self.names = folder, names
        resize = A.Resize(
            size, size, interpolation=cv2.INTER_LANCZOS4, mask_interpolation=cv2.INTER_NEAREST
        )
        steps = [*published_transforms()[:-1], A.ElasticTransform(alpha=1, sigma=50, p=0.5)]
        self.transform = A.Compose([resize, *steps, A.Normalize(mean, std)])

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, row: int) -> tuple[Tensor, Tensor]:
        name = f"{self.names[row]}.jpg"
        image = cv2.cvtColor(cv2.imread(str(self.folder / "images" / name)), cv2.COLOR_BGR2RGB)
        mask = cv2.imread(str(self.folder / "masks" / name), cv2.IMREAD_GRAYSCALE)
        pair = self.transform(image=image, mask=(mask > 127).astype(np.float32))
        pixels, mask = torch.from_numpy(pair["image"]), torch.from_numpy(pair["mask"])
        return pixels.permute(2, 0, 1), mask.unsqueeze(0)


def published_loader(
    folder: Path, names: list[str], size: int, batch_size: int, mean, std, workers: int
) -> DataLoader:
    """Shuffled batches of (B, 3, S, S) float32 and (B, 1, S, S) float32."""
    dataset = PublishedDataset(folder, names, size, mean, std)
    return DataLoader(dataset, batch_size, shuffle=True, num_workers=workers, drop_last=True)
