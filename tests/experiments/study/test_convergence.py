"""How far a training came: made-up losses whose last fifth is known."""

from types import SimpleNamespace

import numpy as np
import pytest

from experiments.study.convergence import fit, fits


def falling(to, last, steps=100, seeds=3):
    """Losses that fall from 1 to `to + last` at four fifths of the run and to `to` in the last fifth."""
    curve = np.full(steps, to + last)
    curve[0], curve[-steps // 5 :] = 1.0, to
    return np.tile(curve, (seeds, 1))


def test_a_network_fits_by_its_training_accuracy_whatever_its_loss_still_does():
    found = fit(falling(0.2, 0.4), [0.99, 1.0, 1.0])
    assert found.state == "fits" and found.convincing and found.train_accuracy == pytest.approx(2.99 / 3)
    assert fit(falling(0.2, 0.4), [0.9] * 3).state == "unfinished"
    assert fit(falling(0.2, 0.4), [0.9] * 3, threshold=0.85).state == "fits"


@pytest.mark.parametrize("last, state", [(0.01, "plateau"), (0.015, "plateau"), (0.017, "unfinished"), (0.1, "unfinished")])
def test_a_plateau_is_a_last_fifth_that_brings_less_than_a_fiftieth_of_the_fall(last, state):
    found = fit(falling(0.2, last))  # a fall of 0.8, of which 0.016 is the fiftieth part
    assert found.state == state and found.remaining == pytest.approx(last / 0.8) and found.train_accuracy is None


def test_a_loss_that_never_fell_is_no_plateau():
    assert fit(np.ones((2, 50)), [0.1, 0.1]).state == "unfinished"
    assert fit(np.linspace(1, 2, 50)[None]).state == "unfinished"


def test_what_is_not_finite_is_called_that_and_is_no_reason_where_nothing_is_required():
    losses = falling(0.2, 0.0)
    losses[1, 30:] = np.nan
    found = fit(losses, [0.9, np.nan, 0.9])
    assert found.state == "not finite" and not found.convincing and found.train_accuracy is None
    assert fit(losses, required=False).convincing


def test_of_several_arms_all_but_the_controls_are_required():
    arm = SimpleNamespace(runs=SimpleNamespace(losses=falling(0.2, 0.4), right=np.asarray([0.5, 0.7, 0.6])))
    found = fits({"net": arm, "control": arm}, lambda runs: runs.right, controls=("control",))
    assert found["net"].required and not found["control"].required
    assert found["net"].train_accuracy == pytest.approx(0.6) and found["net"].state == "unfinished"
