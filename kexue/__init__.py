"""kexue: mathematics that a machine checks, claim by claim.

The names below are loaded when they are first used: `import kexue` alone pulls in neither SymPy nor a solver.
"""

import importlib
import pathlib
import typing

if typing.TYPE_CHECKING:
    from kexue.claims import Witnesses as Witnesses
    from kexue.claims import claim as claim
    from kexue.claims import erratum as erratum
    from kexue.claims import mutant as mutant
    from kexue.findings import Budget as Budget
    from kexue.findings import Finding as Finding
    from kexue.findings import Verdict as Verdict
    from kexue.runner import verify as verify
    from kexue.sampling import experiment as experiment
    from kexue.statements import All as All
    from kexue.statements import Any as Any
    from kexue.statements import Conforms as Conforms
    from kexue.statements import Costs as Costs
    from kexue.statements import Counts as Counts
    from kexue.statements import Derivation as Derivation
    from kexue.statements import Enclosure as Enclosure
    from kexue.statements import Exists as Exists
    from kexue.statements import ForAll as ForAll
    from kexue.statements import ForEach as ForEach
    from kexue.statements import Gram as Gram
    from kexue.statements import Identity as Identity
    from kexue.statements import Induction as Induction
    from kexue.statements import Integral as Integral
    from kexue.statements import Limit as Limit
    from kexue.statements import OperatorIdentity as OperatorIdentity
    from kexue.statements import Words as Words
    from kexue.statements import letters as letters
    from kexue.statements.estimate import Estimate as Estimate

__version__ = "0.1.0"

_HOME = {
    "kexue.claims": ("Witnesses", "claim", "erratum", "mutant"),
    "kexue.findings": ("Budget", "Finding", "Verdict"),
    "kexue.runner": ("verify",),
    "kexue.sampling": ("experiment",),
    "kexue.statements.estimate": ("Estimate",),
    "kexue.statements": (
        "All",
        "Any",
        "Conforms",
        "Costs",
        "Counts",
        "Derivation",
        "Enclosure",
        "Exists",
        "ForAll",
        "ForEach",
        "Gram",
        "Identity",
        "Induction",
        "Integral",
        "Limit",
        "OperatorIdentity",
        "Words",
        "letters",
    ),
}
_MODULE_OF = {name: module for module, names in _HOME.items() for name in names}

__all__ = ["__version__", *sorted(_MODULE_OF)]

# In a source tree that isn't installed the rooms lie beside this folder instead of in it.
_tree = pathlib.Path(__file__).resolve().parent.parent
if not (_tree / "kexue" / "derivations").is_dir() and (_tree / "derivations" / "__init__.py").is_file():
    __path__.append(str(_tree))


def __getattr__(name: str) -> typing.Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'kexue' has no attribute {name!r}")
    value = getattr(importlib.import_module(_MODULE_OF[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
