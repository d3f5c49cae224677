"""What a reader can change of the question `normalization`."""

import dataclasses

from experiments.normalization.network import Shape
from experiments.study.settings import SettingsError, TrainingSettings, setting


@dataclasses.dataclass(frozen=True)
class Normalization(TrainingSettings):
    """Settings of the question `normalization`."""

    seeds: int = setting(8, "Independent seeds of what is measured without training.", quick=6, minimum=2)
    features: int = setting(2048, "Features that are normalised alone.", quick=256, minimum=2)
    drift_depth: int = setting(50, "Layers of the stacks of normalization.drift and .implication.", quick=30, minimum=4)
    drift_width: int = setting(256, "Units per layer there.", quick=128, minimum=2)
    drift_batch: int = setting(64, "Examples there.", quick=32, minimum=4)
    drift_seeds: int = setting(16, "Seeds of normalization.drift: with critical weights it is random.", quick=6, minimum=2)
    gain_width: int = setting(512, "Units per layer of normalization.gradients.", quick=128, minimum=8)
    gain_batch: int = setting(64, "Examples per batch there, few against the width.", quick=16, minimum=4)
    gain_depth: int = setting(18, "Layers of the stacks there.", minimum=6)
    gain_window: tuple[int, ...] = setting((4, 16), "First and last layer between which the gain is measured.", minimum=0)
    gain_seeds: int = setting(4, "Independent seeds of the sweeps and the deep stack there.", quick=3, minimum=2)
    residual_depth: int = setting(64, "Blocks of the residual stack whose last quarter is measured there.", minimum=8)
    sweep: tuple[int, ...] = setting(
        (16, 32, 64, 128, 256, 512), "Widths, and batches at the last width.", quick=(16, 128), minimum=8
    )
    train_width: int = setting(64, "Units per layer of the MLPs that are trained.", minimum=2)
    train_depth: int = setting(6, "Their hidden layers after the first.", minimum=1)
    channels: int = setting(8, "Channels per layer of the CNNs that are trained.", minimum=1)
    channel_depth: int = setting(2, "Their convolutions after the first.", minimum=1)
    channel_steps: int = setting(300, "Their SGD steps.", quick=24, minimum=20)
    rate_full_steps: int = setting(2000, "SGD steps of the MLPs of normalization.learning-rate in full.", quick=24, minimum=20)
    channel_rate_steps: int = setting(
        100, "Those at each rate of the grid of normalization.learning-rate.", quick=24, minimum=20
    )
    train_batch: int = setting(64, "Examples per step.", minimum=2)
    train_steps: int = setting(2000, "SGD steps of the MLPs.", quick=24, minimum=20)
    points: int = setting(10, "Points of training at which readings are taken.", quick=8, minimum=2)
    train_seeds: int = setting(24, "Seeds that count.", quick=2, minimum=2)
    learning_rates: tuple[float, ...] = setting(
        (0.03, 0.1, 0.3), "Learning rates tried first for each arm.", quick=(0.1, 0.3), minimum=1e-9
    )
    large_variance: float = setting(100.0, "σ_w² of the sigmoid networks of normalization.range.", minimum=1e-6)
    rate_depth: int = setting(2, "Hidden layers after the first of the sigmoid MLP of normalization.learning-rate.", minimum=1)
    rate_seeds: int = setting(40, "Seeds that count there.", quick=2, minimum=2)
    rate_steps: int = setting(400, "SGD steps of the MLPs at each rate of its grid.", quick=24, minimum=20)
    rate_grid: tuple[float, ...] = setting(
        tuple(float(10 ** (k / 3)) for k in range(-4, 3)),
        "Its learning rates; ten times these for sigmoid units.",
        quick=(0.1, 0.3, 1.0),
        minimum=1e-9,
    )
    target_loss: float = setting(0.3, "Training loss to reach, nats.", quick=1.0, minimum=0.0)

    @property
    def mlp(self) -> Shape:
        """The MLPs that are trained."""
        return Shape(self.train_width, self.train_depth)

    def steps(self, shape: Shape) -> int:
        """SGD steps of a training in full."""
        return self.channel_steps if shape.convolutional else self.train_steps

    @property
    def cnn(self) -> Shape:
        """The CNNs that are trained."""
        return Shape(self.channels, self.channel_depth, convolutional=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        window = self.gain_window
        if len(window) != 2 or not window[0] < window[1] <= self.gain_depth:
            raise SettingsError(
                f"--gain_window={window} must be two layers in rising order, up to --gain_depth={self.gain_depth}"
            )
        for name in ("train_steps", "rate_steps", "rate_full_steps", "channel_steps", "channel_rate_steps"):
            if getattr(self, name) % self.points:
                raise SettingsError(f"--{name}={getattr(self, name)} must be a multiple of --points={self.points}")
