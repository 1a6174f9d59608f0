r"""Flow models: NICE, RealNVP and Glow, likelihoods that are exact because each layer can be inverted.

Su Jianlin, 《细水长flow之NICE：流模型的基本概念与实现》 (NICE: ideas of flow models and their implementation),
2018-08-11, archive 5776, and 《细水长flow之RealNVP与Glow：流模型的传承与升华》 (RealNVP and Glow), 2018-08-26,
archive 5807, Scientific Spaces.

Papers: L. Dinh, D. Krueger, Y. Bengio, NICE: Non-linear Independent Components Estimation, 2014, arXiv 1410.8516. L.
Dinh, J. Sohl-Dickstein, S. Bengio, Density estimation using Real NVP, 2016, arXiv 1605.08803. D. P. Kingma, P.
Dhariwal, Glow: Generative Flow with Invertible 1×1 Convolutions, 2018, arXiv 1807.03039.

    couplings     additive and affine couplings, stacks, masks, orders, recomputed inputs
    permutations  permutations, squeezing, checkerboards, what keeps neighbours
    multiscale    shapes of several scales, the factorised and the conditional prior
    scaling       scale layers, the variance of the prior, actnorm, batch normalisation
    plu           1×1 convolutions: determinants, costs and reach of W = PLU
    likelihood    change of variables, dequantisation, bits per dimension, the logit, noise below zero
    geometry      temperature, what the likelihood can't tell, what a homeomorphism can't do
    costs         multiply-adds and parameters of Glow and NICE

Notation: z = f(x) is the encoder, x = g(z) the generator, D = h·w·c the number of entries of an image, q the density
of the model. A coupling keeps $x_1$ and changes $x_2$ to $h_2$ by functions m (additive) or s, t (affine) of $x_1$;
Glow's scale is σ(r + 2), σ the logistic function, r the network's output. W = PL(U + diag s) acts on the c channels of
each pixel. T is the temperature, N in `geometry` the squared length of z. Log-likelihoods are in nats.
"""

from .costs import glow_macs, glow_parameters, nice_parameters
from .likelihood import bits_per_dimension
from .multiscale import multiscale_shapes
from .permutations import checkerboard_mask, squeeze_index
from .plu import plu

__all__ = [
    "bits_per_dimension",
    "checkerboard_mask",
    "glow_macs",
    "glow_parameters",
    "multiscale_shapes",
    "nice_parameters",
    "plu",
    "squeeze_index",
]
