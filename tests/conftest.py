"""What all tests share: results are cached in a folder of their own; Hypothesis has no deadline on a busy machine."""

from __future__ import annotations

import pytest
from hypothesis import settings

pytest_plugins = ["pytester"]

settings.register_profile("kexue", deadline=None)
settings.load_profile("kexue")


@pytest.fixture(autouse=True, scope="session")
def _own_cache(tmp_path_factory: pytest.TempPathFactory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KEXUE_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield
