"""The simulated recursions of the article on Lion."""

from __future__ import annotations

import numpy as np

from kexue.numerics.lion.experiments import batch_study, figures, lion_path, lyapunov_path, sure, variance


def test_paths_stay_in_the_box_and_end_near_the_projected_solution():
    goal = np.array([2.0, 0.3])
    path = lion_path(lambda theta: theta - goal, np.array([-0.5, 0.9]), 2000, 0.01, 1.0)
    assert (np.abs(path) <= 1 + 1e-12).all()
    np.testing.assert_allclose(path[-1], [1.0, 0.3], atol=0.05)


def test_the_lyapunov_function_falls():
    for dt in (0.1, 0.01):
        found = lyapunov_path(int(5 / dt), dt)
        assert (np.diff(found) <= 1e-9).all() and found[-1] < found[0] - 1


def test_variances():
    assert variance(0.0, 0.0) == 1 and abs(variance(0.9, 0.99) - 0.0140704) < 1e-7
    assert 2 * sure(0, 1) == 1


def test_loss_of_the_batch_study_rises_when_few_steps_are_left():
    found = batch_study(2**12, [16, 2048], seeds=4, width=6)
    assert set(found) == {"Lion", "AdamW", "SGD"}
    assert all(loss[1] > loss[0] for loss in found.values())


def test_figures():
    assert set(figures()) == {"box", "sign-probability", "equilibrium", "update-rms", "batch-size"}
