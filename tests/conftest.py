"""What all tests share: one torch thread, and nothing of the user's DVC and git."""

import os

import pytest
import torch

import effiseg.encoders  # noqa: F401  (before timm, which may need its torchvision shim)


@pytest.fixture(autouse=True, scope="session")
def _one_thread():
    torch.set_num_threads(1)


@pytest.fixture(autouse=True, scope="session")
def _own_dvc_cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        for name in ("SITE_CACHE", "GLOBAL_CONFIG", "SYSTEM_CONFIG"):  # a shared cache, for example
            patch.setenv(f"DVC_{name}_DIR", str(tmp_path_factory.mktemp("dvc")))
        patch.setenv("DVC_NO_ANALYTICS", "1")
        yield


@pytest.fixture(autouse=True, scope="session")
def _own_git():
    """No hooks and signatures of the user, nor the repository of a hook that runs the tests."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("GIT_")]:
            patch.delenv(name)
        patch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
        patch.setenv("GIT_CONFIG_NOSYSTEM", "1")
        yield
