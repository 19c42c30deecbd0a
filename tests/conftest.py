"""What all tests share: one torch thread, and DVC's site cache away from the user's."""

import pytest
import torch

import effiseg.encoders  # noqa: F401  (before timm, which may need its torchvision shim)


@pytest.fixture(autouse=True, scope="session")
def _one_thread():
    torch.set_num_threads(1)


@pytest.fixture(autouse=True, scope="session")
def _own_dvc_cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DVC_SITE_CACHE_DIR", str(tmp_path_factory.mktemp("dvc-site-cache")))
        patch.setenv("DVC_NO_ANALYTICS", "1")
        yield
