"""No model or optimiser leaves its device or makes the host wait for it, followed where no accelerator is."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from kexue.models import list_models  # noqa: E402
from kexue.models._torch import draw_normal, source  # noqa: E402

TINY = [name for name in list_models() if name.endswith("tiny")]


@pytest.fixture(scope="module")
def found() -> dict[str, dict[str, Any]]:
    """What tests/models/another_device.py prints, by the name of the model."""
    program = Path(__file__).with_name("another_device.py")
    done = subprocess.run(
        [sys.executable, program], env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return {line["name"]: line for line in map(json.loads, done.stdout.splitlines())}


def test_every_model_stays_on_its_device_and_never_waits(found: dict[str, dict[str, Any]]):
    expected = {"devices": ["pretended:0"], "waited": []}
    assert {name: found[name] for name in TINY} == {name: {"name": name, **expected} for name in TINY}


def test_no_optimiser_waits_except_for_its_verdict_on_nan(found: dict[str, dict[str, Any]]):
    names = [name for name, line in found.items() if "/" not in name and "-" not in name]
    assert len(names) == 10
    assert {name for name in names if found[name]["devices"] != ["pretended:0"]} == set()
    assert [name for name in names if found[name]["waited"]] == ["Tiger, NaN"]
    assert len(found["Tiger, NaN"]["waited"]) == 1


def test_what_is_left_behind_or_read_back_is_found(found: dict[str, dict[str, Any]]):
    assert "self.table" in found["left-behind"]["error"]
    assert ["product.max() > 0" in line for line in found["reads-back"]["waited"]] == [True]


def test_numbers_are_drawn_where_the_generator_is():
    like = torch.empty(2, 3, dtype=torch.float64, device="meta")
    assert source(like, None) == torch.device("meta")
    assert source(like, torch.Generator()) == torch.device("cpu")
    made = draw_normal(torch.empty(2, 3, dtype=torch.float64), torch.Generator().manual_seed(5), (4,))
    assert torch.equal(made, torch.randn(4, dtype=torch.float64, generator=torch.Generator().manual_seed(5)))
