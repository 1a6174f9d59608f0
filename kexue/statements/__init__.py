"""The statement kinds, one file each. A statement says what is claimed; its `check` calls the engines."""

from kexue.engines.formula import All, Any
from kexue.engines.gram import Gram
from kexue.statements.base import Statement
from kexue.statements.conforms import Conforms, Costs
from kexue.statements.derivation import Derivation
from kexue.statements.enclosure import Enclosure, Integral
from kexue.statements.forall import Exists, ForAll
from kexue.statements.foreach import Counts, ForEach
from kexue.statements.identity import Identity
from kexue.statements.induction import Induction
from kexue.statements.limit import Limit
from kexue.statements.operator_identity import OperatorIdentity
from kexue.statements.words import Words, letters

__all__ = [
    "All", "Any", "Conforms", "Costs", "Counts", "Derivation", "Enclosure", "Exists", "ForAll", "ForEach", "Gram",
    "Identity", "Induction", "Integral", "Limit", "OperatorIdentity", "Statement", "Words", "letters",
]  # fmt: skip
