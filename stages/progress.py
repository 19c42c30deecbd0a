"""Progress bars of the stages, with the time left."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from tqdm import tqdm


def progress(title: str) -> Callable[[Iterable], Iterable]:
    """A function that passes an iterable on and shows how far it is."""
    return lambda items: tqdm(items, desc=title, mininterval=1.0)


@contextmanager
def step_progress(title: str, steps: int, shown: bool = True) -> Iterator[tqdm]:
    """A bar of `steps` optimiser steps; `update(n)` moves it, `set_postfix` writes beside it."""
    with tqdm(total=steps, desc=title, unit="step", mininterval=1.0, disable=not shown) as bar:
        yield bar


@contextmanager
def byte_progress(title: str) -> Iterator[Callable[[int, int | None], None]]:
    """A function (bytes done, bytes in all or None) that shows how far a transfer is."""
    with tqdm(desc=title, unit="B", unit_scale=True, mininterval=1.0) as bar:

        def show(done: int, total: int | None) -> None:
            bar.total = total
            bar.update(done - bar.n)

        yield show
