"""What tests/test_distribution.py starts in one or more processes: a tiny training in float64,
so that rounding can't hide an error.

    python [-m torch.distributed.run …] tests/train_shared.py OUTPUT STATE [EPOCHS]

An epoch is one step. Rank 0 writes OUTPUT, an .npz: the history and the weights after the last
epoch, and after the first one AdamW's averages, which are a tenth of the gradients.
"""

import dataclasses
import sys
from pathlib import Path

import numpy as np
import torch
from test_training import PARAMS, build, draw_arrays, recipe

import effiseg.precision
from effiseg.arrays import Arrays
from effiseg.checkpoints import read_state
from effiseg.distribution import join_group
from effiseg.remedies import Remedies
from effiseg.training import train


def enlarge(arrays: Arrays) -> Arrays:
    return Arrays(*(np.repeat(np.repeat(array, 2, axis=1), 2, axis=2) for array in arrays))


def main(output: Path, state: Path, stop_after: int | None = None) -> None:
    torch.set_num_threads(1)
    effiseg.precision.pick_format = lambda device: torch.float32  # no autocast
    torch.Tensor.float = torch.Tensor.double
    params, published = dataclasses.replace(PARAMS, batch_size=8), recipe(size=64)
    parts = enlarge(draw_arrays(8)), enlarge(draw_arrays(11, seed=1))
    content = {}
    with join_group() as group:
        network = build().double()
        for epoch, kept in train(network, *parts, params, published, Remedies(), state, group):
            content[f"epoch {epoch.epoch}"] = epoch
            if epoch.epoch == 1 and group.rank == 0:
                optimizer = read_state(state)["optimizer"]["state"]
                content |= {f"gradient {n}": v["exp_avg"] for n, v in optimizer.items()}
            if epoch.epoch == stop_after:
                break
        if group.rank == 0:
            np.savez(output, **content, **kept)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:3]), *map(int, sys.argv[3:]))
