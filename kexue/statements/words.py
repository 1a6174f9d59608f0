"""Identities in free non-commutative algebras with transpose, modulo rewriting rules, for matrices of all sizes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import sympy as sp

from kexue.engines import definedness, gate, normal_form
from kexue.findings import Budget, Finding, Verdict, refuted, undecided
from kexue.statements import base

Letter = tuple[str, bool]  # a name, and whether it is transposed
Word = tuple[Letter, ...]
MOST_RULES = 120
LONGEST_WORD = 10
MOST_STEPS = 20_000


class Polynomial:
    """A linear combination of words with commutative scalar coefficients. Build with `letters` and + - * .T **."""

    def __init__(self, terms: Mapping[Word, Any]) -> None:
        self.terms = {w: c for w, c in terms.items() if c != 0}

    def __add__(self, other: Any) -> Polynomial:
        out = dict(self.terms)
        for w, c in _polynomial(other).terms.items():
            out[w] = sp.expand(out.get(w, sp.S.Zero) + c)
        return Polynomial(out)

    __radd__ = __add__

    def __neg__(self) -> Polynomial:
        return Polynomial({w: -c for w, c in self.terms.items()})

    def __sub__(self, other: Any) -> Polynomial:
        return self + (-_polynomial(other))

    def __rsub__(self, other: Any) -> Polynomial:
        return _polynomial(other) + (-self)

    def __mul__(self, other: Any) -> Polynomial:
        out: dict[Word, Any] = {}
        for w, c in self.terms.items():
            for v, e in _polynomial(other).terms.items():
                out[w + v] = out.get(w + v, sp.S.Zero) + c * e
        return Polynomial({w: sp.expand(c) for w, c in out.items()})

    __matmul__ = __mul__

    def __rmul__(self, other: Any) -> Polynomial:
        return _polynomial(other) * self

    def __pow__(self, n: int) -> Polynomial:
        if n < 0:
            raise gate.Refused(f"a word has no negative power {n}: introduce a letter for the inverse, with rules")
        out = Polynomial({(): sp.S.One})
        for _ in range(n):
            out = out * self
        return out

    @property
    def T(self) -> Polynomial:
        return Polynomial({tuple((a, not t) for a, t in reversed(w)): c for w, c in self.terms.items()})

    def __str__(self) -> str:
        return " + ".join(_term(w, c) for w, c in sorted(self.terms.items(), key=lambda t: (len(t[0]), t[0]))) or "0"


def _term(word: Word, c: Any) -> str:
    text = "·".join(a + ("ᵀ" if t else "") for a, t in word)
    if not text:
        return str(c)
    return text if c == 1 else f"({c})·{text}"


def _polynomial(value: Any) -> Polynomial:
    if isinstance(value, Polynomial):
        return value
    return Polynomial({(): gate.expression(value, "scalar")})


def letters(names: str) -> Any:
    """Non-commuting letters, one for each blank-separated name; a single one is returned bare."""
    found = tuple(Polynomial({((name, False),): sp.S.One}) for name in names.split())
    return found[0] if len(found) == 1 else found


class Words(base.Statement):
    """lhs = rhs in the free algebra with transpose, modulo `rules`, hence for matrices of all sizes that obey them.

    Rules are equations (left, right); each one and its transpose is oriented by degree and alphabet, so that rewriting
    ends, and overlaps are completed up to a bound when plain rewriting isn't enough. Rewriting is sound whatever the
    rules are; the model, rational matrices that obey every rule, shows that they aren't contradictory and refutes.

    Args:
        lhs, rhs: polynomials in letters.
        rules: pairs (left, right) of polynomials.
        model: a rational matrix for each letter by name, and a value for each scalar symbol.
        given: conditions on the scalar symbols.
    """

    kind = "Words"

    def __init__(
        self, lhs: Any, rhs: Any, rules: Sequence[tuple[Any, Any]] = (), *, model: Mapping[Any, Any], given: Any = ()
    ) -> None:
        self.lhs, self.rhs = _polynomial(lhs), _polynomial(rhs)
        self.rules = [(_polynomial(a), _polynomial(b)) for a, b in rules]
        self.given = base.conditions(given)
        polynomials = [self.lhs, self.rhs, *(p for rule in self.rules for p in rule)]
        for p in polynomials:
            for c in p.terms.values():
                gate.expression(c, "a coefficient")
        self.variables = gate.one_symbol_a_name([c for p in polynomials for c in p.terms.values()] + [*self.given])
        self.letters = sorted({a for p in polynomials for w in p.terms for a, _ in w})
        self.matrices = {k: gate.exact(sp.Matrix(v), f"model {k}") for k, v in model.items() if isinstance(k, str)}
        self.values = {k: gate.expression(v, f"model {k}") for k, v in model.items() if not isinstance(k, str)}
        missing = [a for a in self.letters if a not in self.matrices]
        missing += [str(s) for s in self.variables if s not in self.values]
        if missing:
            raise gate.Refused(f"the model gives no value for {', '.join(missing)}")

    def check(self, budget: Budget) -> Finding:
        for left, right in self.rules:
            if not self._holds_in_model(left, right):
                raise gate.Refused(f"the model doesn't obey the rule {left} = {right}")
        for g in self.given:
            if g.xreplace(self.values) is not sp.true:
                raise gate.Refused(f"the model doesn't satisfy {g}")
        difference = self.lhs - self.rhs
        rewriting = _Rewriting(self.rules, self._zero)
        equal = rewriting.vanishes(difference)
        agree = self._holds_in_model(self.lhs, self.rhs)
        if not agree:
            if equal:
                return undecided("rewriting and the model contradict each other: this is a fault of the checker")
            shown = ", ".join(f"{a} = {self.matrices[a].tolist()}" for a in self.letters)
            return refuted(
                "in the model " + "; ".join(filter(None, [shown, base.show_point(self.values)])), engines=("exact",)
            )
        if not equal:
            return undecided(f"the normal form of the difference is {rewriting.rest}, and the model doesn't refute it")
        coefficients = [c for p in (self.lhs, self.rhs) for c in p.terms.values()]
        ok, failed, _ = definedness.prove_defined(coefficients, self.given, budget)
        if not ok:
            return undecided("it isn't proved that " + ", ".join(map(str, failed)))
        return Finding(
            Verdict.PROVED,
            scope="matrices of all sizes that obey the rules",
            engines=("word rewriting", "flint"),
            live="model " + ", ".join(f"{a} ({'×'.join(map(str, self.matrices[a].shape))})" for a in self.letters),
        )

    def _zero(self, c: sp.Expr) -> bool:
        equations = [g.lhs - g.rhs for g in self.given if isinstance(g, sp.Eq)]
        return bool(c == 0 or normal_form.is_zero(c, equations))

    def _holds_in_model(self, left: Polynomial, right: Polynomial) -> bool:
        total = None
        scalar = sp.S.Zero
        for w, c in (left - right).terms.items():
            c = c.xreplace(self.values)
            if not w:
                scalar += c
                continue
            product = None
            for a, transposed in w:
                m = self.matrices[a].T if transposed else self.matrices[a]
                if product is not None and product.shape[1] != m.shape[0]:
                    raise gate.Refused(f"in the model, the word {_term(w, 1)} multiplies {product.shape} by {m.shape}")
                product = m if product is None else product * m
            assert product is not None
            if total is not None and total.shape != product.shape:
                raise gate.Refused(f"in the model, terms of {left} and {right} have different shapes")
            total = c * product if total is None else total + c * product
        if total is None:
            return self._zero(scalar)
        if scalar != 0:
            if total.shape[0] != total.shape[1]:
                raise gate.Refused(f"in the model, a scalar is added to a matrix of shape {total.shape}")
            total = total + scalar * sp.eye(total.shape[0])
        return all(self._zero(x) for x in total)

    def symbols(self) -> tuple[str, ...]:
        return (*self.letters, *base.names(self.variables))

    def domain(self) -> tuple[str, ...]:
        return (*(f"{a} = {b}" for a, b in self.rules), *base.domain_text(self.given))

    def text(self) -> str:
        rules = "; ".join(f"{a} = {b}" for a, b in self.rules)
        return f"{self.lhs} = {self.rhs}   for all matrices" + (f" with {rules}" if rules else "")

    def latex(self) -> str:
        rules = r",\; ".join(f"{_latex(a)} = {_latex(b)}" for a, b in self.rules)
        return f"{_latex(self.lhs)} = {_latex(self.rhs)}" + (rf" \quad \text{{given }}\; {rules}" if rules else "")


def _latex(p: Polynomial) -> str:
    def one(w: Word, c: Any) -> str:
        word = " ".join(f"{a}^\\top" if t else a for a, t in w)
        return sp.latex(c) if not word else word if c == 1 else rf"\left({sp.latex(c)}\right) {word}"

    return " + ".join(one(w, c) for w, c in p.terms.items()) or "0"


def _order(word: Word) -> tuple[int, Word]:
    return len(word), word


class _Rewriting:
    """Rules leading word → rest, oriented by length and then alphabet (a transposed letter is larger)."""

    def __init__(self, equations: Sequence[tuple[Polynomial, Polynomial]], zero: Any) -> None:
        self.zero = zero
        self.rules: dict[Word, Polynomial] = {}
        self.rest = Polynomial({})
        for left, right in equations:
            for equation in (left - right, (left - right).T):
                self.add(equation)

    def add(self, equation: Polynomial) -> bool:
        equation = self.reduce(equation)
        if not equation.terms:
            return False
        leading = max(equation.terms, key=_order)
        c = equation.terms[leading]
        if not isinstance(c, sp.Rational):
            raise gate.Refused(f"a rule's leading coefficient must be a number, got {c} in {equation} = 0")
        if not leading:
            raise gate.Refused("the rules are contradictory: they imply 1 = 0")
        self.rules[leading] = Polynomial({w: -e / c for w, e in equation.terms.items() if w != leading})
        return True

    def reduce(self, p: Polynomial) -> Polynomial:
        todo: dict[Word, Any] = dict(p.terms)
        done: dict[Word, Any] = {}
        for _ in range(MOST_STEPS):
            if not todo:
                return Polynomial({w: c for w, c in done.items() if not self.zero(c)})
            word = max(todo, key=_order)
            c = todo.pop(word)
            for i, left in ((i, pattern) for pattern in self.rules for i in _places(pattern, word)):
                for w, e in self.rules[left].terms.items():
                    new = word[:i] + w + word[i + len(left) :]
                    todo[new] = sp.expand(todo.get(new, sp.S.Zero) + c * e)
                    if todo[new] == 0:
                        del todo[new]
                break
            else:
                done[word] = sp.expand(done.get(word, sp.S.Zero) + c)
        raise gate.Refused(f"rewriting didn't end after {MOST_STEPS} steps")

    def vanishes(self, p: Polynomial) -> bool:
        self.rest = self.reduce(p)
        while self.rest.terms and len(self.rules) < MOST_RULES:
            if not self.complete_once():
                return False
            self.rest = self.reduce(self.rest)
        return not self.rest.terms

    def complete_once(self) -> bool:
        """Adds the consequences of all overlaps of two rules; False if there is none."""
        grown = False
        for a in list(self.rules):
            for b in list(self.rules):
                for k in range(1, min(len(a), len(b)) + 1):
                    if a[-k:] != b[:k] or len(a) + len(b) - k > LONGEST_WORD or (a == b and k == len(a)):
                        continue
                    left = self.rules[a] * Polynomial({b[k:]: sp.S.One})
                    right = Polynomial({a[:-k]: sp.S.One}) * self.rules[b]
                    grown |= self.add(left - right)
                    if len(self.rules) >= MOST_RULES:
                        return True
        return grown


def _places(pattern: Word, word: Word) -> list[int]:
    n = len(pattern)
    return [i for i in range(len(word) - n + 1) if word[i : i + n] == pattern]
