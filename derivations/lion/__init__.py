r"""Lion, Tiger and their kin: optimisers that step by the sign of a momentum.

Su Jianlin, 《Google新搜出的优化器Lion:效率与效果兼得的“训练狮”》 (Lion, Google's newly searched optimiser: efficient
and effective), Scientific Spaces, 2023-02-16, archive 9473; 《Tiger:一个“抠”到极致的优化器》 (Tiger, an optimiser
stingy to the extreme), 2023-03-07, archive 9512; the step sizes come from his article on Amos, archive 9344.

Papers: X. Chen et al., Symbolic Discovery of Optimization Algorithms, 2023, arXiv 2302.06675. L. Chen, B. Liu, K.
Liang, Q. Liu, Lion Secretly Solves Constrained Optimization: As Lyapunov Predicts, ICLR 2024, arXiv 2310.05898. J.
Bernstein et al., signSGD: Compressed Optimisation for Non-Convex Problems, 2018, arXiv 1802.04434. I. Loshchilov, F.
Hutter, Decoupled Weight Decay Regularization (AdamW), 2017, arXiv 1711.05101.

    updates  what a step is: weights of the past, special cases, invariances, Adam beside it, costs
    box      where θ goes: bounds, fixed points, a Lyapunov function, equilibrium under noise
    noise    signs and sizes of updates for random gradients; matching β and learning rates
    tiger    Tiger's rules: relative steps, accumulation, half precision, skipped steps, powers of the momentum

Notation, per coordinate: $g_t$ is the gradient at $\theta_{t-1}$; $c_t = \beta_1m_{t-1} + (1-\beta_1)g_t$; $u_t =
\mathrm{sign}(c_t)$ with sign(0) = 0; $\theta_t = \theta_{t-1} - \eta(u_t + \lambda\theta_{t-1})$; $m_t =
\beta_2m_{t-1} + (1-\beta_2)g_t$, $m_0 = 0$. Tiger: $\beta_1 = \beta_2 = \beta$. k is the number of coordinates, or of
gradients that are accumulated.
"""

from .common import box, lion_bound, lion_step, lion_trajectory, state_numbers, tiger_step, tiger_trajectory

__all__ = ["box", "lion_bound", "lion_step", "lion_trajectory", "state_numbers", "tiger_step", "tiger_trajectory"]
