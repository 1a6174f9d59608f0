r"""Transformer-VQ: quantise the keys, and softmax attention becomes linear.

Su Jianlin, 《VQ一下Key，Transformer的复杂度就变成线性了》 (Quantise the keys, and the Transformer's complexity becomes
linear), Scientific Spaces, 2023-11-09, archive 9844.

Papers: L. D. Lingle, Transformer-VQ: Linear-Time Transformers via Vector Quantization, 2023, arXiv 2309.16354. W. Hua,
Z. Dai, H. Liu, Q. V. Le, Transformer Quality in Linear Time, 2022, arXiv 2202.10447 (the gated attention unit). Z. Dai,
Z. Yang, Y. Yang, J. Carbonell, Q. V. Le, R. Salakhutdinov, Transformer-XL, 2019, arXiv 1901.02860. A. van den Oord, O.
Vinyals, K. Kavukcuoglu, Neural Discrete Representation Learning, 2017, arXiv 1711.00937.

    forms      the definition and the linear forms over any commutative ring
    errors     how far quantised keys move logits, weights and outputs
    linear     the trick that selects; encoder and decoder
    codes      rank, blindness, linear attention: what codes can't tell apart
    window     the bias in a window, ReRoPE
    gradients  straight-through gradients, exact and truncated
    codebook   moving averages and k-means
    costs      multiplications, memory, state

Notation: $Q, K \in \mathbb R^{n\times d_k}$, $V \in \mathbb R^{n\times d_v}$, codebook $C \in \mathbb R^{c\times d_k}$;
$z_j$ is the index of the row of C nearest to $k_j$, Δ has the one-hot rows $\Delta_{j,z_j} = 1$, $\hat K = \Delta C$.
$E = \exp(QC^\top)$ is n×c. Blocks have the length l, $[i]$ is block i, b(0), …, b(w) is the bias of a window, $\beta_d
= e^{b(d)}$. Numerators and denominators of the softmax are kept apart; as they are polynomials in the entries of E, in
the $\beta_d$ and in V, an identity between them is checked for *all* Q, C, V and b at once by comparing polynomials,
once for each sequence of codes z.
"""

from .codebook import lloyd_step, quantisation_error
from .forms import (
    block_recursion,
    encoder,
    exponentials,
    nearest_codes,
    outputs,
    quadratic,
    token_recursion,
    windowed_recursion,
)
from .gradients import ste_key_gradient

__all__ = [
    "block_recursion",
    "encoder",
    "exponentials",
    "lloyd_step",
    "nearest_codes",
    "outputs",
    "quadratic",
    "quantisation_error",
    "ste_key_gradient",
    "token_recursion",
    "windowed_recursion",
]
