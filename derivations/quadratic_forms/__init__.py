r"""Conics and quadrics reduced by n×n matrices, the parabolic ones by an infinitesimal.

Su Jianlin, 《矩阵化简二次型(无穷小近似处理抛物型)》 (Simplifying quadratic forms by matrices; the parabolic type by
infinitesimal approximation), Scientific Spaces, 2012-12-25, archive 1841. No paper underlies it.

The equation is $q(x) = x^\top A x + 2 b^\top x + c = 0$ with $A = A^\top$, and a rigid map is $x = RX + v$ with
$R^\top R = I$, $\det R = 1$. The textbook borders A to $\tilde A = \begin{pmatrix}A&b\\b^\top&c\end{pmatrix}$; the
article stays with n×n: the shift to the centre is $v = -A^{-1}b$, the constant is $k = b^\top A^{-1} b - c$, and what
is left is $\sum_i \lambda_i X_i^2 = k$. A parabola has no centre, but it is a limit of ellipses and hyperbolas: replace
A by $A + \varepsilon I$, reduce, let ε → 0.

Notation: $\lambda_i$ eigenvalues of A, $A^+$ its pseudo-inverse, $P_0 = I - AA^+$ the projector onto ker A, m = dim ker
A, $p = \lVert P_0 b\rVert$, $n = P_0 b/p$, $\kappa = b^\top A^+ b - c$, $\prod' \lambda$ the product of the eigenvalues
that aren't 0, $F(\varepsilon) = \det(\tilde A + \varepsilon(I \oplus 0))$.

- `reduction`: exact reduction and classification of given equations
- `common`: symbols, the Penrose rules and the lists of small equations
- `central`: transformations, the centre, the canonical form of a central quadric
- `parabolic`: the infinitesimal, its limits, and the vertex without limits
- `invariants`: the classical invariants as coefficients of F, the lists of types
"""

from .reduction import (
    CanonicalLimit,
    QuadricReduction,
    QuadricType,
    canonical_limit,
    classify,
    perturbed_reduction,
    reduce_quadric,
)

__all__ = [
    "CanonicalLimit", "QuadricReduction", "QuadricType", "canonical_limit", "classify", "perturbed_reduction",
    "reduce_quadric",
]  # fmt: skip
