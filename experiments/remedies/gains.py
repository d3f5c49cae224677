"""How the gradient grows per layer at initialisation: one grid of all choices, measured and predicted."""

from collections.abc import Mapping
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from experiments.remedies import network
from experiments.remedies.network import ACTIVATIONS, NORMS, Choice, choice, stacked
from experiments.remedies.settings import Remedies
from experiments.study import profiles
from experiments.study.measurement import Measurement, curve, interval
from experiments.study.profiles import NATS_PER_LAYER
from jaxnotes import jacobians

VARIANCES = {"0.5": 0.5, "Xavier": 1.0, "He": 2.0, "8": 8.0}  # σ_w² of layers with as many inputs as outputs
# σ_w² at which χ = 1 without biases, as `meanfield.critical_weight_variance` says; He's for ReLU, Xavier's for tanh.
CRITICAL = {"sigmoid": 103.0075538554195, "leaky_relu": 2 / (1 + 0.01**2), "elu": 1.0}
THEORY = "mean field, from layer to layer (Schoenholz et al. 2017; Yang et al. 2019 with batch normalisation)"


def grid() -> list[Choice]:
    """Returns every initialisation with every activation, normalisation and shortcut."""
    return [
        choice(activation, variance, norm=norm, shortcut=shortcut)
        for activation in ACTIVATIONS
        for variance in VARIANCES.values()
        for norm in NORMS
        for shortcut in (False, True)
    ]


def scaled_branch(depth: int) -> Choice:
    """Returns the residual network with large weights whose branch is scaled by 1/√L."""
    return choice("relu", VARIANCES["8"], shortcut=True, branch_scale=depth**-0.5)


@partial(jax.jit, static_argnames=("width", "depth", "batch"))
def log_gradients(choices: Choice, keys: Array, *, width: int, depth: int, batch: int) -> Array:
    """Returns [choices, seeds, depth + 1] natural logs of the gradient's norm at h_0 … h_L.

    h_0 is standard normal; the gradient at the output is random, of length 1 for each example. All choices share a seed's draw.
    """

    def of_seed(key: Array) -> Array:
        key_stack, key_input, key_direction = jax.random.split(key, 3)
        drawn, x = network.unit_stack(key_stack, width, depth), jax.random.normal(key_input, (batch, width))
        direction = profiles.random_direction(key_direction, x.shape)

        def of_choice(chosen: Choice) -> Array:
            params = network.scaled(drawn, chosen)
            return jacobians.log_gradient_norms(network.layer(chosen), params, x, lambda h: jnp.sum(h * direction))

        return jax.lax.map(of_choice, choices)

    return jnp.swapaxes(jax.lax.map(of_seed, keys), 0, 1)


class Gains(NamedTuple):
    """The grid and the residual network with a scaled branch, at each depth.

    Attributes:
      logs: by depth and choice, [seeds, depth + 1] natural logs of the gradient's norm.
      predicted: by choice, [deepest + 1] natural logs of the gradient's gain across the first l layers.
    """

    logs: Mapping[int, Mapping[Choice, np.ndarray]]
    predicted: Mapping[Choice, np.ndarray]

    @property
    def deepest(self) -> int:
        """The greatest depth, at which slopes are measured."""
        return max(self.logs)

    def slope(self, name: str, chosen: Choice) -> Measurement:
        """Returns a choice's slope beside its prediction."""
        source = f"{THEORY}; {self.deepest} layers"
        prediction = self._predicted_slope(chosen)
        return interval(name, self._slopes(chosen), unit=NATS_PER_LAYER, prediction=prediction, source=source)

    def gain(self, name: str, chosen: Choice) -> Measurement:
        """Returns the gain of the squared gradient per layer behind the first, whose input is not yet of the later size."""
        logs, gain = self.logs[self.deepest][chosen], self.predicted[chosen]
        passed = self.deepest - 1
        found, predicted = (np.exp(2 * rise / passed) for rise in (logs[:, 1] - logs[:, -1], gain[-1] - gain[1]))
        return interval(name, found, unit="per layer", prediction=predicted, source=f"squared gradient; {THEORY}")

    def relief(self, name: str, before: Choice, after: Choice) -> Measurement:
        """Returns by how much the slope's magnitude falls, beside its prediction."""
        fall = np.abs(self._slopes(before)) - np.abs(self._slopes(after))
        predicted = abs(self._predicted_slope(before)) - abs(self._predicted_slope(after))
        source = f"|growth per layer| without minus with the remedy, {self.deepest} layers"
        return interval(name, fall, unit=NATS_PER_LAYER, prediction=predicted, source=source)

    def change(self, name: str, chosen: Choice) -> Measurement:
        """Returns by how many decades the gradient's norm changes across all layers, beside its prediction."""
        source = f"gradient's norm at the first over that at the last of {self.deepest} layers; {THEORY}"
        predicted = self.predicted[chosen][-1] / np.log(10)
        decades = profiles.decades(self.logs[self.deepest][chosen])[:, 0]
        return interval(name, decades, unit="decades", prediction=predicted, source=source)

    def curve(self, name: str, chosen: Choice) -> dict[str, np.ndarray]:
        """Returns a figure's arrays of the decades against the layers passed on the way back, with the prediction."""
        gain = self.predicted[chosen]
        passed = profiles.decades_passed(self.logs[self.deepest][chosen])
        return curve(name, passed, (gain[-1] - gain[::-1]) / np.log(10))

    def table(self) -> dict[str, np.ndarray]:
        """Returns mean slopes of the grid, and predictions: [activation, initialisation, normalisation, shortcut, depth]."""
        shape = (len(ACTIVATIONS), len(VARIANCES), len(NORMS), 2, len(self.logs))
        found = [[profiles.slope(logs[chosen]).mean() for logs in self.logs.values()] for chosen in grid()]
        predicted = [[self.predicted[chosen][depth] / depth for depth in self.logs] for chosen in grid()]
        return {
            "measured": np.reshape(found, shape),
            "predicted": np.reshape(predicted, shape),
            "depths": np.asarray(list(self.logs)),
            "activations": np.asarray(ACTIVATIONS),
            "initialisations": np.asarray(list(VARIANCES)),
            "norms": np.asarray(NORMS),
        }

    def _slopes(self, chosen: Choice) -> np.ndarray:
        return profiles.slope(self.logs[self.deepest][chosen])

    def _predicted_slope(self, chosen: Choice) -> float:
        return self.predicted[chosen][-1] / self.deepest


def measured_gains(settings: Remedies, key: Array) -> Gains:
    """Returns the grid at the depths of the settings."""
    deepest, logs = max(settings.depths), {}
    critical = [choice(name, variance) for name, variance in CRITICAL.items()]
    choices = list(dict.fromkeys([*grid(), scaled_branch(deepest), *critical]))
    for depth, key_depth in zip(settings.depths, jax.random.split(key, len(settings.depths)), strict=True):
        keys = jax.random.split(key_depth, settings.seeds)
        found = log_gradients(stacked(choices), keys, width=settings.width, depth=depth, batch=settings.batch)
        logs[depth] = dict(zip(choices, np.asarray(found), strict=True))
    return Gains(logs, {chosen: network.predicted_gain(chosen, deepest, settings.batch) for chosen in choices})
