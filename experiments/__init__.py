"""Experiments beside the pipeline: the ablation, and the proof over several seeds.

They run as `python -m experiments.NAME` in the repository's root, or by `dvc repro
experiments/dvc.yaml`, and use the library and the stages as they are.
"""

import stages  # noqa: F401  (which library is used, and how torch's threads wait)
