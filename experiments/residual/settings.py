"""What a reader can change of the question `residual`."""

import dataclasses

from experiments.study.settings import SettingsError, TrainingSettings, setting
from jaxnotes.layers.activations import ACTIVATIONS

DEPTHS = ("shallow", "medium", "deep", "deepest")  # of the networks trained


@dataclasses.dataclass(frozen=True)
class Residual(TrainingSettings):
    """Settings of the topic `residual`."""

    depths: tuple[int, ...] = setting((10, 30, 100), "Depths of the gradient profiles.", quick=(10, 100), minimum=1)
    width: int = setting(128, "Units per layer of the stacks at initialisation.", quick=64, minimum=2)
    wide: int = setting(512, "The same of the wider stacks whose paths are decomposed.", quick=256, minimum=2)
    activation: str = setting("tanh", "Activation of the profiles and identities.", choices=tuple(ACTIVATIONS))
    weight_variance: float = setting(1.0, "σ_w² of the profiles and identities.", minimum=1e-6)
    seeds: int = setting(16, "Independent seeds at initialisation.", quick=8, minimum=2)
    batch: int = setting(8, "Examples per seed at initialisation.", quick=4, minimum=1)
    normalised_batch: int = setting(64, "The same of stacks with batch normalisation.", quick=32, minimum=4)
    path_depth: int = setting(32, "Layers whose paths are decomposed by length, at two widths.", minimum=1)
    long_depth: int = setting(54, "Blocks whose paths are decomposed by length, as many as in ResNet-110.", minimum=8)
    long_width: int = setting(64, "Units per layer of these blocks.", minimum=2)
    branch_depth: int = setting(100, "Layers of the stacks with small and large branches.", minimum=20)
    train_depths: tuple[int, ...] = setting(
        (20, 56, 110, 152), "Four depths trained: shallow, medium, deep, deepest.", quick=(6, 12, 24, 40), minimum=1
    )
    train_width: int = setting(32, "Units per layer in training.", minimum=2)
    train_steps: int = setting(400, "Adam steps of every run.", quick=60, minimum=10)
    long_steps: int = setting(3600, "Adam steps of the longer budget.", quick=120, minimum=10)
    train_batch: int = setting(128, "Examples per step.", minimum=2)
    share_seeds: int = setting(24, "Seeds of the networks whose share that trains is judged.", quick=2, minimum=2)
    control_seeds: int = setting(3, "Seeds of other controls and of the extreme depth.", quick=2, minimum=2)
    learning_rates: tuple[float, ...] = setting(
        (3e-3, 1e-2, 3e-2), "Learning rates tried first for each arm and depth.", quick=(3e-3, 1e-2), minimum=1e-12
    )
    control_rates: tuple[float, ...] = setting(
        (1e-3, 3e-3, 1e-2), "The same of networks without normalisation.", quick=(3e-3, 1e-2), minimum=1e-12
    )
    extreme_depth: int = setting(1000, "Layers of a network trained at the rate of the deepest tuned one.", quick=80, minimum=1)

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.train_depths) != 4 or list(self.train_depths) != sorted(set(self.train_depths)):
            raise SettingsError(f"--train_depths={self.train_depths} must be four rising depths, such as 20,56,110,152")
