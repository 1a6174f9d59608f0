"""Each claim's docstring is a statement whose mathematics can be typeset."""

from __future__ import annotations

import ast
import re

import pytest
from latex2mathml.converter import convert

from kexue import discovery
from kexue.worker import load_claim

CLAIMS = discovery.all_claims()


@pytest.mark.parametrize("ref", CLAIMS, ids=lambda ref: f"{ref.room}:{ref.id}")
def test_mathematics_of_the_docstring(ref: discovery.ClaimRef) -> None:
    tree = ast.parse(ref.file.read_text(encoding="utf-8"))
    function = next(n for n in tree.body if isinstance(n, ast.FunctionDef) and n.name == ref.function)
    doc = ast.get_docstring(function) or ""
    assert doc.split("\n\n")[0].rstrip().endswith((".", ":", "?")), "the first paragraph is a sentence"
    assert doc.count("$") % 2 == 0, "a dollar sign is missing"
    for formula in re.findall(r"\$(.+?)\$", doc, re.S):
        assert formula.count("{") == formula.count("}"), formula
        typeset = convert(" ".join(formula.split()))
        assert "\\" not in re.sub(r"<[^>]*>", "", typeset), f"{formula} has a command that isn't known"


@pytest.mark.parametrize("ref", CLAIMS, ids=lambda ref: f"{ref.room}:{ref.id}")
def test_labels_of_mutants_say_what_changes(ref: discovery.ClaimRef) -> None:
    try:
        claim = load_claim(ref.file, ref.module, ref.function)
    except ModuleNotFoundError as error:
        pytest.skip(f"{error.name} isn't installed")
    labels = [mutant["label"] for mutant in claim.describe(ref.id)["mutants"]]
    assert all(labels) and not [label for label in labels if " at 0x" in label or "another function" in label]
