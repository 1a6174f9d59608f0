r"""Linear attention: what is lost and kept when the softmax is replaced by a product of features.

Su Jianlin, 《线性Attention的探索：Attention必须有个Softmax吗？》 (Exploring linear attention: must attention have a
softmax?), Scientific Spaces, 2020-07-04, archive 7546; its companion on Performer, archive 7921. Papers: A.
Katharopoulos et al., Transformers are RNNs, 2020, arXiv 2006.16236. Z. Shen et al., Efficient Attention: Attention with
Linear Complexities, 2018, arXiv 1812.01243. S. Wang et al., Linformer, 2020, arXiv 2006.04768. N. Kitaev et al.,
Reformer, 2020, arXiv 2001.04451. K. Choromanski et al., Rethinking Attention with Performers, 2020, arXiv 2009.14794.

    kernels     the general form, its three kernels, what normalisation forgets
    low_rank    the price of linearity: trace and rank bounds, Linformer
    causal      recurrence, chunks, scans, gradients, and what leaks
    favor       random features of the exponential

Notation: $o_i = \sum_j \mathrm{sim}(q_i, k_j)v_j / \sum_j \mathrm{sim}(q_i, k_j)$ with $\mathrm{sim}(q, k) =
\phi(q)^\top\varphi(k)$; n tokens, r features, d and $d_v$ the sizes of keys and values. $F = \phi(Q)$ and $G =
\varphi(K)$ are n×r, $Z_c = \sum_j\varphi_c(k_j)$, $D_i = \sum_j\mathrm{sim}(q_i, k_j)$. Exact instances use the base 2
instead of e: exponentials of integers are then rational.
"""
