"""What a reader can change of the question `normalization`."""

import dataclasses

from experiments.study.settings import SettingsError, TrainingSettings, setting


@dataclasses.dataclass(frozen=True)
class Normalization(TrainingSettings):
    """Settings of the question `normalization`."""

    seeds: int = setting(8, "Independent seeds of what is measured without training.", quick=6, minimum=2)
    features: int = setting(2048, "Features that are normalised alone.", quick=256, minimum=2)
    drift_depth: int = setting(50, "Layers of the stacks of normalization.drift.", quick=30, minimum=4)
    drift_width: int = setting(256, "Units per layer there.", quick=128, minimum=2)
    drift_batch: int = setting(64, "Examples there.", quick=32, minimum=4)
    gain_width: int = setting(1024, "Units per layer of normalization.gradients.", quick=128, minimum=8)
    gain_batch: int = setting(1024, "Examples per batch there.", quick=128, minimum=8)
    gain_depth: int = setting(24, "Layers of the stacks there.", minimum=6)
    gain_window: tuple[int, ...] = setting((8, 16), "First and last layer between which the gain is measured.", minimum=0)
    gain_seeds: int = setting(4, "Independent seeds there: a wide layer averages by itself.", quick=3, minimum=2)
    residual_depth: int = setting(64, "Blocks of the residual stack whose last quarter is measured there.", minimum=8)
    sweep: tuple[int, ...] = setting(
        (16, 32, 64, 128, 256, 512), "Widths at the last batch, and batches at the last width.", quick=(16, 128), minimum=8
    )
    train_width: int = setting(64, "Units per layer in training.", minimum=2)
    train_depth: int = setting(6, "Hidden layers after the first, in training.", minimum=1)
    train_batch: int = setting(128, "Examples per step.", minimum=2)
    train_steps: int = setting(240, "SGD steps of every run.", quick=24, minimum=20)
    points: int = setting(10, "Points of training at which readings are taken.", quick=8, minimum=2)
    train_seeds: int = setting(4, "Seeds that count.", quick=2, minimum=2)
    shift_seeds: int = setting(16, "Those of normalization.shift, whose gradients hardly differ.", quick=2, minimum=2)
    learning_rates: tuple[float, ...] = setting(
        (0.03, 0.1, 0.3, 1.0), "Learning rates tried first for each arm.", quick=(0.1, 0.3), minimum=1e-9
    )
    large_variance: float = setting(100.0, "σ_w² of the sigmoid networks of normalization.range.", minimum=1e-6)
    rate_depth: int = setting(2, "Hidden layers after the first in normalization.learning-rate.", minimum=1)
    rate_grid: tuple[float, ...] = setting(
        tuple(float(10 ** (k / 3)) for k in range(-5, 7)),
        "Learning rates of normalization.learning-rate.",
        quick=tuple(float(10 ** (k / 2)) for k in range(-2, 4)),
        minimum=1e-9,
    )
    target_loss: float = setting(0.5, "Training loss to reach, nats.", quick=1.0, minimum=0.0)

    def __post_init__(self) -> None:
        super().__post_init__()
        window = self.gain_window
        if len(window) != 2 or not window[0] < window[1] <= self.gain_depth:
            raise SettingsError(
                f"--gain_window={window} must be two layers in rising order, up to --gain_depth={self.gain_depth}"
            )
        if self.train_steps % self.points:
            raise SettingsError(f"--train_steps={self.train_steps} must be a multiple of --points={self.points}")
