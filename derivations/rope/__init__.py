r"""Rotary position embedding: its general solution, its completeness, several coordinates, decay.

Su Jianlin, 《Transformer升级之路：6、旋转位置编码的完备性分析》 (Road to upgrading the Transformer, 6: completeness of
RoPE), Scientific Spaces, 2022-12-28, archive 9403. It rests on part 2, 《博采众长的旋转式位置编码》 (RoPE itself,
2021-03-23, archive 8265), and part 4, 《二维位置的旋转式位置编码》 (two dimensions, 2021-05-10, archive 8397).

Papers: J. Su, Y. Lu, S. Pan, A. Murtadha, B. Wen, Y. Liu, RoFormer: Enhanced Transformer with Rotary Position
Embedding, 2021, arXiv 2104.09864. B. Heo, S. Park, D. Han, S. Yun, Rotary Position Embedding for Vision Transformer,
2024, arXiv 2403.13298 (axial and mixed frequencies).

    rotations         the definition, the functional equation, the two layouts, what rotation keeps
    solutions         all families with $\mathcal R_m^\top\mathcal R_n = \mathcal R_{n-m}$; matrix exponentials
    completeness      the canonical form, absorption into W_q and W_k and its conditions, counting score functions
    planar            positions in ℝᵏ and ℤᵏ: quaternions, commuting generators, injectivity
    decay             the bound by partial sums, the curve, the logarithmic law, recurrence
    linear_attention  RoPE without softmax

Notation: $R(t) = \begin{pmatrix}\cos t&-\sin t\\\sin t&\cos t\end{pmatrix}$, $J = R(\pi/2)$, N = d/2 planes, $\theta_i
= b^{-2i/d}$ for i = 0, …, N − 1 with b = 10⁴; q, k are columns; the score of a query at m and a key at n is $s(m, n) =
(\mathcal R_mq)^\top(\mathcal R_nk) = q^\top\mathcal R_{n-m}k$.
"""

from .common import block_rotation, rotation
from .completeness import CanonicalForm, score_span_dimension, skew_canonical_form
from .planar import GeneratorAnalysis, analyse_generators, centraliser_dimension
from .rotations import layout_permutation
from .solutions import cayley

__all__ = [
    "CanonicalForm",
    "GeneratorAnalysis",
    "analyse_generators",
    "block_rotation",
    "cayley",
    "centraliser_dimension",
    "layout_permutation",
    "rotation",
    "score_span_dimension",
    "skew_canonical_form",
]
