"""Normal forms of expressions as quotients of polynomials over the integers (python-flint).

An expression is rewritten as a rational function of *generators*: its symbols, i, roots, exponentials, logarithms,
powers b^n and opaque function values. Each generator may obey one monic relation whose leading term is a pure power of
it (i² = -1, r² = A, …) and whose other terms contain older generators only, so the relations form a Groebner basis for
the lexicographic order in which newer generators are larger, and reduction gives a normal form. A zero normal form
therefore proves that the expression vanishes wherever it is defined. A non-zero one proves nothing: the generators
may satisfy a relation that is not known here.

That denominators don't vanish and radicands aren't negative is not decided here; see `definedness`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import flint
import sympy as sp
from flint import fmpq, fmpz, fmpz_mpoly, fmpz_mpoly_ctx
from sympy.core.function import AppliedUndef

from kexue.engines import balls
from kexue.engines.gate import Refused

Sign = Callable[[sp.Expr], int | None]
LARGEST_POWER = 4000


class Quotient:
    """num/den with integer polynomials; den is never the zero polynomial."""

    __slots__ = ("den", "num")

    def __init__(self, num: fmpz_mpoly, den: fmpz_mpoly) -> None:
        self.num, self.den = num, den

    def constant(self) -> fmpq | None:
        if self.num.is_constant() and self.den.is_constant():
            return fmpq(_constant(self.num), _constant(self.den))
        return None

    def key(self) -> tuple[Any, ...]:
        """Hashable and independent of the context: equal quotients in lowest terms have equal keys."""
        return _key(self.num), _key(self.den)


def _power_of(base: int, unit: sp.Expr, d: int) -> sp.Expr:
    return sp.Pow(base, unit / d)


def _constant(p: fmpz_mpoly) -> fmpz:
    return p.coefficient(0) if len(p) else fmpz(0)


def _key(p: fmpz_mpoly) -> frozenset[Any]:
    names = p.context().names()
    return frozenset(
        (tuple((names[i], int(e)) for i, e in enumerate(m) if e), int(c)) for m, c in sorted(p.to_dict().items())
    )


class Field:
    """The generators and relations met so far; grows while expressions are read."""

    def __init__(self, sign: Sign | None = None) -> None:
        self.sign: Sign = sign or (lambda _: None)
        self.names: list[str] = []  # newest first: the newest is the largest in lex order
        self.meaning: dict[str, sp.Expr] = {}
        self.relations: dict[str, tuple[int, fmpz_mpoly]] = {}  # generator: (degree q, P) for generator^q = P
        self.by_key: dict[Any, str] = {}
        self.exponentials: dict[Any, list[tuple[int, str]]] = {}
        self.known: dict[sp.Basic, Quotient] = {}
        self.context = fmpz_mpoly_ctx.get((), "lex")

    # generators and arithmetic

    def generator(self, key: Any, meaning: sp.Expr) -> tuple[str, bool]:
        """The name of the generator for `key`, and whether it is new."""
        if key in self.by_key:
            return self.by_key[key], False
        name = f"g{len(self.names)}"
        self.by_key[key] = name
        self.names.insert(0, name)
        self.meaning[name] = meaning
        self.context = fmpz_mpoly_ctx.get(tuple(self.names), "lex")
        return name, True

    def gen(self, name: str) -> Quotient:
        return Quotient(self.context.gen(self.names.index(name)), self.context.constant(1))

    def lift(self, p: fmpz_mpoly) -> fmpz_mpoly:
        return p if p.context() is self.context else p.project_to_context(self.context)

    def number(self, value: Any) -> Quotient:
        q = fmpq(value)
        return Quotient(self.context.constant(q.p), self.context.constant(q.q))

    def quotient(self, num: fmpz_mpoly, den: fmpz_mpoly) -> Quotient:
        num, den = self.reduce(self.lift(num)), self.reduce(self.lift(den))
        if not num:
            return self.number(0)
        if not den:
            raise ZeroDivisionError("a denominator is identically zero")
        common = num.gcd(den)
        if not common.is_one():
            num, den = divmod(num, common)[0], divmod(den, common)[0]
        if den.leading_coefficient() < 0:
            num, den = -num, -den
        return Quotient(num, den)

    def add(self, a: Quotient, b: Quotient) -> Quotient:
        an, ad, bn, bd = map(self.lift, (a.num, a.den, b.num, b.den))
        if ad == bd:
            return self.quotient(an + bn, ad)
        return self.quotient(an * bd + bn * ad, ad * bd)

    def mul(self, a: Quotient, b: Quotient) -> Quotient:
        an, ad, bn, bd = map(self.lift, (a.num, a.den, b.num, b.den))
        return self.quotient(an * bn, ad * bd)

    def inverse(self, a: Quotient) -> Quotient:
        if not a.num:
            raise ZeroDivisionError("a denominator is identically zero")
        return self.quotient(a.den, a.num)

    def power(self, a: Quotient, n: int) -> Quotient:
        if abs(n) > LARGEST_POWER:
            raise Refused(f"exponent {n} is too large to expand")
        if n < 0:
            return self.power(self.inverse(a), -n)
        out, square = self.number(1), a
        while n:
            if n & 1:
                out = self.mul(out, square)
            n >>= 1
            if n:
                square = self.mul(square, square)
        return out

    def reduce(self, p: fmpz_mpoly) -> fmpz_mpoly:
        """The remainder modulo all relations, newest generator first."""
        if not self.relations or not p:
            return p
        for i, name in enumerate(self.names):
            if name in self.relations:
                q, value = self.relations[name]
                if p.degrees()[i] >= q:
                    p = divmod(p, self.context.gen(i) ** q - self.lift(value))[1]
        return p

    # reading SymPy

    def read(self, expr: sp.Basic) -> Quotient:
        if expr not in self.known:
            self.known[expr] = self.compute(expr)
        return self.known[expr]

    def compute(self, e: sp.Basic) -> Quotient:
        if isinstance(e, sp.Rational):
            return self.number(balls.rational(e))
        if isinstance(e, sp.Symbol) or e in (sp.pi, sp.EulerGamma, sp.GoldenRatio, sp.Catalan):
            return self.gen(self.generator(e, e)[0])
        if isinstance(e, sp.Add):
            return self.total([self.read(a) for a in e.args])
        if isinstance(e, sp.Mul):
            out = self.read(e.args[0])
            for a in e.args[1:]:
                out = self.mul(out, self.read(a))
            return out
        if e is sp.I:
            return self.imaginary()
        if e is sp.E or isinstance(e, sp.exp) or (isinstance(e, sp.Pow) and e.base is sp.E):
            return self.exponential(sp.S.One if e is sp.E else e.exp)
        if isinstance(e, sp.Pow):
            return self.general_power(e)
        if isinstance(e, sp.Abs):
            return self.absolute(e.args[0])
        if isinstance(e, (sp.Max, sp.Min)):
            return self.extremum(e)
        if isinstance(e, (sp.sin, sp.cos, sp.tan, sp.cot, sp.sec, sp.csc, sp.sinh, sp.cosh, sp.tanh, sp.coth)):
            return self.read(e.rewrite(sp.exp)) if e.rewrite(sp.exp) != e else self.opaque(e)
        if isinstance(e, sp.log):
            return self.logarithm(e)
        if isinstance(e, (sp.factorial, sp.gamma)):
            return self.gamma(e.args[0] + (1 if isinstance(e, sp.factorial) else 0))
        if isinstance(e, sp.binomial):
            n, k = e.args
            top, left, right = self.gamma(n + 1), self.gamma(k + 1), self.gamma(n - k + 1)
            return self.mul(top, self.inverse(self.mul(left, right)))
        if isinstance(e, (sp.Sum, sp.Product)):
            done = e.doit() if all(x.is_Integer for lim in e.limits for x in lim[1:]) else e
            if done == e:
                raise Refused(f"a {type(e).__name__} with symbolic limits has no normal form: {e}")
            return self.read(done)
        if isinstance(e, (sp.re, sp.im)):
            z = self.read(e.args[0])
            bar = self.read(sp.conjugate(e.args[0]))
            if isinstance(e, sp.re):
                return self.mul(self.add(z, bar), self.number(fmpq(1, 2)))
            minus = self.mul(bar, self.number(-1))
            return self.mul(self.add(z, minus), self.inverse(self.mul(self.imaginary(), self.number(2))))
        opaque = (sp.conjugate, sp.asin, sp.acos, sp.atan, sp.asinh, sp.acosh, sp.atanh, sp.erf, sp.Ci, sp.Si, sp.floor)
        if isinstance(e, (*opaque, AppliedUndef, sp.Derivative)):
            return self.opaque(e)
        raise Refused(f"{type(e).__name__} has no normal form here: {e}")

    def total(self, terms: list[Quotient]) -> Quotient:
        while len(terms) > 1:  # pairwise keeps the intermediate sums small
            pairs = [self.add(a, b) for a, b in zip(terms[::2], terms[1::2], strict=False)]
            terms = pairs + ([terms[-1]] if len(terms) % 2 else [])
        return terms[0]

    def imaginary(self) -> Quotient:
        name, new = self.generator("i", sp.I)
        if new:
            self.relations[name] = (2, self.context.constant(-1))
        return self.gen(name)

    def opaque(self, e: sp.Basic) -> Quotient:
        """A value about which nothing is known but that equal arguments give equal values."""
        arguments = e.args if not isinstance(e, sp.Derivative) else (e,)
        key = (e.func, tuple(e if a is e else self.read(a).key() for a in arguments))
        return self.gen(self.generator(key, e)[0])

    def expr(self, q: Quotient) -> sp.Expr:
        return self.poly_expr(q.num) / self.poly_expr(q.den)

    def poly_expr(self, p: fmpz_mpoly) -> sp.Expr:
        names = p.context().names()
        terms = [
            sp.Integer(int(c)) * sp.Mul(*(self.meaning[names[i]] ** int(k) for i, k in enumerate(m) if k))
            for m, c in p.to_dict().items()
        ]
        return sp.Add(*terms)

    def is_complex(self, p: fmpz_mpoly) -> bool:
        degrees = p.degrees()
        return any(d and balls.is_complex(self.meaning[n]) for n, d in zip(p.context().names(), degrees, strict=True))

    # roots, absolute values

    def general_power(self, e: sp.Pow) -> Quotient:
        base, exponent = e.base, e.exp
        if isinstance(exponent, sp.Integer):
            return self.power(self.read(base), int(exponent))
        if isinstance(exponent, sp.Rational):
            whole, part = divmod(int(exponent.p), int(exponent.q))
            root = self.root(self.read(base), int(exponent.q))
            return self.mul(self.power(self.read(base), whole), self.power(root, part))
        return self.symbolic_power(base, exponent)

    def root(self, a: Quotient, q: int) -> Quotient:
        """The principal q-th root. With a = A/B the new generator is r = B·a^(1/q), so that r^q = A·B^(q-1)."""
        num, den = self.lift(a.num), self.lift(a.den)
        if not num:
            return a
        if den.is_constant():  # B > 0: (A/B)^(1/q) = (A B^(q-1))^(1/q) / B
            return self.mul(self.integral_root(num * den ** (q - 1), q), self.number(fmpq(1, _constant(den))))
        known = None if self.is_complex(den) else self.sign(self.poly_expr(den))
        if known == 1:
            return self.mul(self.integral_root(num * den ** (q - 1), q), Quotient(self.context.constant(1), den))
        if known == -1:
            return self.root(Quotient(-num, -den), q) if q % 2 == 0 else self.bare_root(num, den, q)
        return self.bare_root(num, den, q)

    def bare_root(self, num: fmpz_mpoly, den: fmpz_mpoly, q: int) -> Quotient:
        meaning = self.poly_expr(den) * sp.Pow(self.poly_expr(num) / self.poly_expr(den), sp.Rational(1, q))
        name, new = self.generator(("root", q, _key(num), _key(den)), meaning)
        if new:
            self.relations[name] = (q, self.reduce(self.lift(num * den ** (q - 1))))
        return self.mul(self.gen(name), Quotient(self.context.constant(1), self.lift(den)))

    def integral_root(self, a: fmpz_mpoly, q: int) -> Quotient:
        """The root of a polynomial: positive content is taken out prime by prime, real squares as absolute values."""
        a = self.reduce(a)
        content = _content(a)
        a = divmod(a, self.context.constant(content))[0]
        out = self.prime_roots(content, q)
        a = self.lift(a)
        if a.is_one():
            return out
        if a == -1 and q == 2:
            return self.mul(out, self.imaginary())
        denested = self.denest(a) if q == 2 else None
        if denested is not None:
            return self.mul(out, denested)
        if q == 2 and not self.is_complex(a):
            unit, factors = a.factor()
            inside = self.context.constant(unit)
            for factor, e in factors:
                if e >= 2:
                    out = self.mul(out, self.power(self.magnitude(factor), int(e) // 2))
                if e % 2:
                    inside = inside * factor
            factors = [(f, e) for f, e in factors if e % 2]
            if unit == 1 and len(factors) > 1 and all(self.sign(self.poly_expr(f)) == 1 for f, _ in factors):
                for f, _ in factors:
                    out = self.mul(out, self.plain_root(self.lift(f), 2))
                return out
            a = self.lift(inside)
            if a.is_one():
                return out
        return self.mul(out, self.plain_root(self.lift(a), q))

    def plain_root(self, a: fmpz_mpoly, q: int) -> Quotient:
        name, new = self.generator(("root", q, _key(a), None), sp.Pow(self.poly_expr(a), sp.Rational(1, q)))
        if new:
            self.relations[name] = (q, self.lift(a))
        return self.gen(name)

    def prime_roots(self, n: fmpz, q: int) -> Quotient:
        out = self.number(1)
        for p, e in n.factor() if n > 1 else ():
            whole, part = divmod(int(e), q)
            out = self.mul(out, self.number(p**whole))
            if part:
                out = self.mul(out, self.power(self.plain_root(self.context.constant(p), q), part))
        return out

    def denest(self, a: fmpz_mpoly) -> Quotient | None:
        """√(3+2√2) = 1+√2 and the like: SymPy proposes, the square (exact) and the sign (Arb) are checked."""
        value = self.poly_expr(a)
        if value.free_symbols or not value.has(sp.Pow) or not self.relations:
            return None
        proposal = sp.sqrtdenest(sp.sqrt(value))
        if proposal == sp.sqrt(value) or proposal.has(sp.I) or balls.sign(proposal) != 1:
            return None
        if any(isinstance(x, sp.Pow) and x.base.has(sp.Pow) for x in sp.preorder_traversal(proposal)):
            return None
        candidate = self.read(proposal)
        minus = Quotient(-self.lift(a), self.context.constant(1))
        return candidate if not self.add(self.mul(candidate, candidate), minus).num else None

    def magnitude(self, f: fmpz_mpoly) -> Quotient:
        """|f| for an irreducible real polynomial f."""
        f = self.lift(f)
        if f.is_constant():
            return self.number(abs(_constant(f)))
        if f.leading_coefficient() < 0:
            f = -f
        known = self.sign(self.poly_expr(f))
        if known is not None:
            return Quotient(f * known, self.context.constant(1))
        degrees = f.degrees()
        if len(f) == 1 and sum(degrees) == 1:
            meaning = self.meaning[f.context().names()[list(degrees).index(1)]]
            if isinstance(meaning, sp.Pow) and meaning.exp == sp.S.Half or isinstance(meaning, (sp.Abs, sp.exp)):
                return Quotient(f, self.context.constant(1))
        name, new = self.generator(("abs", _key(f)), sp.Abs(self.poly_expr(f)))
        if new:
            self.relations[name] = (2, self.reduce(self.lift(f) ** 2))
        return self.gen(name)

    def absolute(self, x: sp.Expr) -> Quotient:
        value = self.read(x)
        if balls.is_complex(x):
            return self.root(self.mul(value, self.read(sp.conjugate(x))), 2)
        if self.is_complex(value.num) or self.is_complex(value.den):
            return self.whole_magnitude(value)
        out = self.number(1)
        for part, n in ((value.num, 1), (value.den, -1)):
            unit, factors = self.lift(part).factor()
            out = self.mul(out, self.power(self.number(abs(unit)), n))
            for factor, e in factors:
                out = self.mul(out, self.power(self.magnitude(factor), n * int(e)))
        return out

    def whole_magnitude(self, value: Quotient) -> Quotient:
        """|A/B| for a real A/B whose factors needn't be real (a cosine in exponentials): r = B·|A/B|, r² = A²."""
        num, den = self.lift(value.num), self.lift(value.den)
        if num and num.leading_coefficient() < 0:
            num = -num
        expr = self.poly_expr(num) / self.poly_expr(den)
        name, new = self.generator(("abs", _key(num), _key(den)), self.poly_expr(den) * sp.Abs(expr))
        if new:
            self.relations[name] = (2, self.reduce(self.lift(num) ** 2))
        return self.mul(self.gen(name), Quotient(self.context.constant(1), self.lift(den)))

    def extremum(self, e: sp.Basic) -> Quotient:
        first, rest = e.args[0], e.args[1:]
        other = rest[0] if len(rest) == 1 else e.func(*rest, evaluate=False)
        a, b = self.read(first), self.extremum(other) if isinstance(other, e.func) else self.read(other)
        gap = (
            self.absolute(first - other)
            if not isinstance(other, e.func)
            else self.absolute(self.expr(self.add(a, self.mul(b, self.number(-1)))))
        )
        half = self.number(fmpq(1, 2))
        side = gap if isinstance(e, sp.Max) else self.mul(gap, self.number(-1))
        return self.mul(half, self.add(self.add(a, b), side))

    # exponentials, powers, logarithms, gamma

    def exponential(self, argument: sp.Expr) -> Quotient:
        """exp of a sum is the product over the terms c·m of its argument; one generator for each monomial m."""
        out = self.number(1)
        for c, unit in self.terms(self.read(argument)):
            out = self.mul(out, self.unit_exponential(c, unit))
        return out

    def terms(self, q: Quotient) -> list[tuple[fmpq, sp.Expr]]:
        """q as Σ c·m with rational c and m = monomial / primitive denominator."""
        if not q.num:
            return []
        content = _content(q.den)
        den = divmod(q.den, q.den.context().constant(content))[0]
        names = q.num.context().names()
        below = self.poly_expr(den)
        return [
            (
                fmpq(c, content),
                sp.Mul(*(self.meaning[names[i]] ** int(k) for i, k in enumerate(m) if k)) / below,
            )
            for m, c in q.num.to_dict().items()
        ]

    def unit_exponential(self, c: fmpq, unit: sp.Expr) -> Quotient:
        if unit == sp.I * sp.pi:
            return self.root_of_unity(c)
        turns = unit / (sp.I * sp.pi)
        if c.q == 1 and turns.is_integer:
            return self.sign_power(turns, int(c.p))
        if isinstance(unit, sp.log):
            if c.q == 1:
                return self.power(self.read(unit.args[0]), int(c.p))
            return self.read(sp.Pow(unit.args[0], sp.Rational(int(c.p), int(c.q))))
        return self.fractional(("exp", unit), c, lambda d: sp.exp(unit / d))

    def fractional(self, key: Any, c: fmpq, meaning: Callable[[int], sp.Expr]) -> Quotient:
        """The generator for X^c where X^(1/d) exists for the denominators d seen so far, linked by X^(1/d)^k =
        X^(k/d).
        """
        have = self.exponentials.setdefault(key, [])
        q = int(c.q)
        for d, name in have:
            if d % q == 0:
                return self.power(self.gen(name), int(c.p) * (d // q))
        wanted = q
        for d, _ in have:
            wanted = int(sp.ilcm(wanted, d))
        name, _ = self.generator((key, wanted), meaning(wanted))
        if have:
            d, older = have[-1]
            self.relations[name] = (wanted // d, self.gen(older).num)
        have.append((wanted, name))
        return self.power(self.gen(name), int(c.p) * (wanted // q))

    def root_of_unity(self, c: fmpq) -> Quotient:
        angle = sp.pi * sp.Rational(int(c.p), int(c.q))
        cosine, sine = sp.cos(angle), sp.sin(angle)
        if not cosine.has(sp.cos, sp.sin) and not sine.has(sp.cos, sp.sin):
            return self.add(self.read(cosine), self.mul(self.imaginary(), self.read(sine)))
        q = int(c.q) if c.q % 2 == 0 else 2 * int(c.q)
        i = self.imaginary()
        name, new = self.generator(("zeta", q), sp.exp(sp.I * sp.pi / q))
        if new:
            self.relations[name] = self.minimal_relation(name, q, self.lift(i.num))
        return self.power(self.gen(name), int(c.p) * (q // int(c.q)))

    def minimal_relation(self, name: str, q: int, i: fmpz_mpoly) -> tuple[int, fmpz_mpoly]:
        """exp(iπ/q) is a root of w^(q/2) = i; of its factors over Z[i] Arb finds the one that can vanish there."""
        w = sp.Symbol("w", complex=True)
        here = {w: sp.exp(sp.I * sp.pi / q)}
        factors = [f for f, _ in sp.factor_list(w ** (q // 2) - sp.I, w, gaussian=True)[1]]
        vanishing = [f for f in factors if not balls.nonzero(f, here)]
        if len(vanishing) != 1:
            return q // 2, i
        poly = sp.Poly(vanishing[0], w, gaussian=True).monic()
        g = self.context.gen(self.names.index(name))
        lower = self.context.constant(0)
        for (k,), c in poly.terms():
            if k < poly.degree():
                real, imaginary = c.as_real_imag()
                lower = lower - (self.context.constant(int(real)) + i * int(imaginary)) * g**k
        return poly.degree(), lower

    def symbolic_power(self, base: sp.Expr, exponent: sp.Expr) -> Quotient:
        """b^(c + Σ c_k m_k) = b^c · Π (b^(m_k))^(c_k); for integer exponents the base is split into its factors."""
        if not self.read(base).num:  # 0^0 = 1 and 0^n = 0 for n ≥ 1
            if exponent.is_integer and self.sign(exponent - 1) == 1:
                return self.number(0)
            return self.gen(self.generator(("power of zero", self.read(exponent).key()), sp.Pow(0, exponent))[0])
        out = self.number(1)
        for c, unit in self.terms(self.read(exponent)):
            if unit == 1:
                out = self.mul(out, self.read(sp.Pow(base, sp.Rational(int(c.p), int(c.q)))))
            elif unit.is_integer and c.q == 1:
                out = self.mul(out, self.integer_power(self.read(base), unit, int(c.p)))
            else:
                b = self.expr(self.read(base))
                out = self.mul(out, self.unit_exponential_of_power(b, unit, c))
        return out

    def unit_exponential_of_power(self, b: sp.Expr, unit: sp.Expr, c: fmpq) -> Quotient:
        out = self.number(1)
        for weight, inner in self.terms(self.read(sp.log(b))):
            scaled = self.read(unit * inner)
            for w, m in self.terms(scaled):
                out = self.mul(out, self.unit_exponential(c * weight * w, m))
        return out

    def integer_power(self, b: Quotient, unit: sp.Expr, c: int) -> Quotient:
        """b^(c·unit) where unit takes integer values."""
        out = self.number(1)
        for part, direction in ((b.num, c), (b.den, -c)):
            number, factors = self.lift(part).factor()
            primes = [(self.context.constant(p), e) for p, e in abs(number).factor()] if abs(number) > 1 else []
            for factor, e in [*primes, *factors]:
                factor = self.lift(factor)
                if factor.leading_coefficient() < 0:
                    factor, number = -factor, number * (-1) ** int(e)
                if factor.is_constant():  # as exp(unit·log p), so that it meets real powers of the same prime
                    p = int(_constant(factor))
                    key = ("exp", unit * sp.log(p))
                    got = self.fractional(key, fmpq(direction * int(e)), partial(_power_of, p, unit))
                else:
                    meaning = sp.Pow(self.poly_expr(factor), unit)
                    name, _ = self.generator(("power", _key(factor), unit), meaning)
                    got = self.power(self.gen(name), direction * int(e))
                out = self.mul(out, got)
            if number < 0:
                out = self.mul(out, self.sign_power(unit, direction))
        return out

    def sign_power(self, unit: sp.Expr, c: int) -> Quotient:
        """(−1)^(c·unit) where unit takes integer values."""
        name, new = self.generator(("sign", unit), sp.Pow(-1, unit, evaluate=False))
        if new:
            self.relations[name] = (2, self.context.constant(1))
        return self.power(self.gen(name), abs(c))

    def logarithm(self, e: sp.log) -> Quotient:
        value = self.read(e.args[0])
        out = self.number(0)
        constant = value.constant()
        if constant is not None and constant > 0:
            for n, direction in ((constant.p, 1), (constant.q, -1)):
                for p, k in n.factor() if n > 1 else ():
                    atom = self.gen(self.generator(("log", int(p)), sp.log(int(p)))[0])
                    out = self.add(out, self.mul(self.number(direction * int(k)), atom))
            return out
        pieces = []
        for part, direction in ((value.num, 1), (value.den, -1)):
            unit, factors = self.lift(part).factor()
            if unit < 0 and len(factors):  # put the sign into the first factor
                factors = [(-factors[0][0], factors[0][1]), *factors[1:]] if factors[0][1] % 2 else factors
                unit = -unit
            pieces.append((self.context.constant(unit), direction))
            pieces += [(f, direction * int(k)) for f, k in factors]
        real = not any(self.is_complex(f) for f, _ in pieces)
        if real and all(f.is_constant() and _constant(f) > 0 or self.sign(self.poly_expr(f)) == 1 for f, _ in pieces):
            for f, k in pieces:
                if f.is_one():
                    continue
                if f.is_constant():
                    atom = self.logarithm(sp.log(sp.Integer(int(_constant(f))), evaluate=False))
                else:
                    expr = self.poly_expr(f)
                    if isinstance(expr, sp.exp):
                        atom = self.read(expr.args[0])
                    else:
                        atom = self.gen(self.generator(("log", _key(f)), sp.log(expr))[0])
                out = self.add(out, self.mul(self.number(k), atom))
            return out
        return self.gen(self.generator(("log", value.key()), sp.log(self.expr(value)))[0])

    def gamma(self, argument: sp.Expr) -> Quotient:
        """Γ(z+k) = Γ(z)·z(z+1)…(z+k-1), with the constant part of z brought into (0, 1]."""
        expanded = sp.expand(argument)
        constant = expanded.as_coeff_Add()[0]
        if not isinstance(constant, sp.Rational):
            constant = sp.S.Zero
        shift = int(sp.ceiling(constant)) - 1
        if abs(shift) > 500:
            raise Refused(f"Γ({argument}): the shift {shift} is too large to expand")
        z = expanded - shift
        base = self.read(sp.gamma(z)) if z.is_number and sp.gamma(z) != sp.gamma(z, evaluate=False) else None
        if base is None:
            key = ("gamma", self.read(z).key())
            base = self.number(1) if z == 1 else self.gen(self.generator(key, sp.gamma(z, evaluate=False))[0])
        for k in range(abs(shift)):
            factor = self.read(z + k if shift > 0 else z - 1 - k)
            base = self.mul(base, factor if shift > 0 else self.inverse(factor))
        return base


def _content(p: fmpz_mpoly) -> fmpz:
    out = fmpz(0)
    for c in p.coeffs():
        out = out.gcd(c)
        if out == 1:
            break
    return abs(out)


def _vanishes(expr: sp.Expr, equations: Sequence[sp.Expr], sign: Sign | None) -> bool:
    field = Field(sign)
    value = field.read(expr).num
    if not value:
        return True
    if not equations:
        return False
    ideal = [field.lift(field.read(e).num) for e in equations]
    value = field.reduce(field.lift(value))
    ideal += [field.context.gen(field.names.index(n)) ** q - field.lift(v) for n, (q, v) in field.relations.items()]
    ideal = [field.lift(p) for p in ideal if p]
    if not ideal:
        return False
    basis = flint.fmpz_mpoly_vec(ideal, field.context)
    if not basis.is_groebner():
        complete = basis.buchberger_naive(limits=(300, 3000, 3000))
        basis = complete[0] if isinstance(complete, tuple) else complete
    return not field.lift(value).reduction_primitive_part(basis)


def is_zero(expr: sp.Expr, equations: Sequence[sp.Expr] = (), sign: Sign | None = None) -> bool | None:
    """True if the normal form of `expr` is 0, modulo the polynomials `equations` that are known to vanish; else None.

    A True means that `expr` is 0 wherever all its parts are defined (and the equations hold). `sign` may tell the sign
    of a subexpression (1 for ≥ 0, -1 for ≤ 0), which is used to resolve |x|, √(x²) and log(xy).

    Raises:
        Refused: the expression has a node without normal form.
        ZeroDivisionError: a denominator is identically zero.
    """
    if _vanishes(expr, equations, None):
        return True
    needs_signs = expr.has(sp.Abs, sp.Max, sp.Min, sp.log) or any(
        isinstance(p, sp.Pow) and not isinstance(p.exp, sp.Integer) for p in expr.atoms(sp.Pow)
    )
    if sign is not None and needs_signs and _vanishes(expr, equations, sign):
        return True
    return None
