r"""Nyströmformer: softmax attention through m landmarks, a pseudo-inverse and three thin matrices.

Su Jianlin, 《Nyströmformer：基于矩阵分解的线性化Attention方案》 ("Nyströmformer: linearised attention by matrix
decomposition"), Scientific Spaces, 2021-02-16, archive 8180. Y. Xiong et al., "Nyströmformer: A Nyström-Based Algorithm
for Approximating Self-Attention", AAAI 2021, arXiv 2102.03902. M. Razavi et al., "A new iterative method for finding
approximate inverses of complex matrices", Abstr. Appl. Anal. 2014. S. Wang and Z. Zhang, "Improving CUR matrix
decomposition and the Nyström approximation via adaptive sampling", 2013, arXiv 1303.4207.

    exact       matrices of rationals, attention, iterative inverses (no claims)
    landmarks   two softmaxes with a matrix between them, exactness, landmarks, causality, costs
    inverse     the pseudo-inverse, its iteration, six steps
    cur         CUR, Nyström, and why it doesn't apply directly

Notation: n tokens, m landmarks, r = n/m tokens in a segment, head dimension d. $\tilde Q, \tilde K$ are the segment
means of Q, K; $S = \mathrm{softmax}(QK^\top)$ is n×n, $F = \mathrm{softmax}(Q\tilde K^\top)$ n×m, $A =
\mathrm{softmax}(\tilde Q\tilde K^\top)$ m×m, $B = \mathrm{softmax}(\tilde QK^\top)$ m×n, all row by row, and $N =
FA^\dagger B$. The scale $d^{-1/2}$ is part of Q. In letters G stands for $A^\dagger$, and u, v for the columns of n
and m ones. The iteration is $V_{k+1} = \tfrac14V_k(13 - AV_k(15 - AV_k(7 - AV_k)))$, its residual $R_k = I - AV_k$, and
$\varphi(r) = (3r^3 + r^4)/4$. Exact instances use the base 2 instead of e: softmax weights of integer logits are then
rational.
"""

from .exact import (
    attention,
    determinant,
    filter_residual,
    iterated_inverse,
    matmul,
    multiplications,
    nystrom_attention,
    nystrom_factors,
    power_of_two,
    products,
    pseudo_inverse,
    residual_map,
    segment_means,
    softmax,
    step,
    transposed,
)

__all__ = [
    "attention",
    "determinant",
    "filter_residual",
    "iterated_inverse",
    "matmul",
    "multiplications",
    "nystrom_attention",
    "nystrom_factors",
    "power_of_two",
    "products",
    "pseudo_inverse",
    "residual_map",
    "segment_means",
    "softmax",
    "step",
    "transposed",
]
