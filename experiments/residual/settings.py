"""What a reader can change of the question `residual`."""

import dataclasses

from experiments.study.settings import SettingsError, TrainingSettings, setting
from jaxnotes.layers.activations import ACTIVATIONS


@dataclasses.dataclass(frozen=True)
class Residual(TrainingSettings):
    """Settings of the topic `residual`."""

    depths: tuple[int, ...] = setting((10, 100, 1000), "Depths of the gradient profiles.", quick=(10, 100), minimum=1)
    width: int = setting(128, "Units per layer of the stacks at initialisation.", quick=64, minimum=2)
    activation: str = setting("tanh", "Activation of the profiles and identities.", choices=tuple(ACTIVATIONS))
    weight_variance: float = setting(1.0, "σ_w² of the profiles and identities.", minimum=1e-6)
    seeds: int = setting(16, "Independent seeds at initialisation.", quick=8, minimum=2)
    batch: int = setting(8, "Examples per seed at initialisation.", quick=4, minimum=1)
    path_depth: int = setting(32, "Layers whose paths are decomposed by length.", minimum=1)
    branch_depth: int = setting(100, "Layers of the stacks with small and large branches.", minimum=1)
    train_depths: tuple[int, ...] = setting(
        (20, 152, 1000), "Three depths trained: shallow, deep, deepest.", quick=(10, 30, 100), minimum=1
    )
    train_width: int = setting(32, "Units per layer in training.", minimum=2)
    train_steps: int = setting(400, "Adam steps of every run.", quick=20, minimum=10)
    train_batch: int = setting(64, "Examples per step.", minimum=1)
    train_seeds: int = setting(8, "Seeds trained at the tuned learning rate, branch scaled.", quick=2, minimum=2)
    control_seeds: int = setting(4, "The same of the networks whose branch is not scaled.", quick=2, minimum=2)
    learning_rates: tuple[float, ...] = setting(
        (1e-3, 3e-3, 1e-2), "Learning rates tried first for each arm and depth.", quick=(1e-3, 3e-3), minimum=1e-12
    )
    extreme_depth: int = setting(10_000, "Layers of the network trained for a few steps only.", quick=400, minimum=1)
    extreme_seeds: int = setting(4, "Seeds at the extreme depth.", quick=2, minimum=2)
    extreme_steps: int = setting(10, "Steps at the extreme depth, at the deepest network's learning rate.", quick=4, minimum=2)
    evaluated: int = setting(2000, "Examples of either set on which a trained network is evaluated.", quick=500, minimum=1)

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.train_depths) != 3 or list(self.train_depths) != sorted(set(self.train_depths)):
            raise SettingsError(f"--train_depths={self.train_depths} must be three depths in rising order, such as 20,152,1000")
