"""What the stages that train share: processes, one writer, going on, and what is written."""

from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from effiseg.arrays import Arrays
from effiseg.checkpoints import FOLDER, fingerprint_of, remove_state
from effiseg.distribution import Group, has_to_launch, join_group, launch
from effiseg.files import write_table
from effiseg.locks import only_process
from effiseg.model import build_model
from effiseg.params import as_plain
from effiseg.precision import choose_algorithms, describe_device
from effiseg.recipe import Recipe, Train
from effiseg.remedies import Remedies
from effiseg.training import Epoch, train
from effiseg.weights import write_model
from stages.progress import step_progress

OF_PREDICTION = ("test_flips", "test_scales")  # in a recipe, but a training does not ask for them


def start(module: str, argument: str, params: Train, work: Callable[[Group], None]) -> None:
    """Call `work`, or start `python -m module argument` in as many processes as there should be."""
    if has_to_launch(params.devices):
        launch(module, [argument], params.devices)  # it does not return
    choose_algorithms(params.deterministic)
    with join_group() as group:
        work(group)


def fit(
    folder: Path,
    parts: tuple[Arrays, Arrays],
    params: Train,
    recipe: Recipe,
    remedies: Remedies,
    inputs: list[Path],
    group: Group,
    after: Callable[[], None] = lambda: None,
    **settings: Any,
) -> None:
    """Train on parts[0], and write the model and its history into `folder`.

    An interrupted training goes on if nothing has changed that determines it: parameters, the files
    `inputs`, code among them, and `settings`, which are for what else does.

    Args:
        after: what the one writer does with the written model; a kill within it costs no epoch.
    """
    choices = as_plain(recipe, OF_PREDICTION)
    settings |= {"train": as_plain(params), "recipe": choices, "processes": group.size}
    sampling = None if remedies.sampling is None else remedies.sampling.tolist()
    settings |= {"remedies": remedies._replace(sampling=sampling)}
    state_file = FOLDER / f"{fingerprint_of(settings, inputs)}.pt"

    torch.manual_seed(params.seed)  # the decoder's first weights
    network = build_model(
        recipe.encoder, params.pretrained, recipe.decoder_channels, recipe.upsampling
    )
    steps = recipe.epochs * (len(parts[0].images) // params.batch_size)
    writes, history = group.rank == 0, []
    lock = only_process(FOLDER / f"{folder.name}.lock", f"training {folder}")
    with lock if writes else nullcontext():
        with step_progress(f"train {folder.name}", steps, shown=writes) as bar:
            for epoch, kept in train(
                network, *parts, params, recipe, remedies, state_file, group, bar.update
            ):
                history.append(epoch)
                bar.set_postfix_str(f"validation Dice {epoch.validation_dice:.4f}")
                if writes:
                    table = pd.DataFrame(history, columns=Epoch._fields)
                    write_table(folder / "history.csv", table)
        if writes:
            write_model(folder, kept, recipe, describe_device(group.device))
            after()
            remove_state(state_file)
