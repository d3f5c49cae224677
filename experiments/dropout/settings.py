"""What a reader can change of the question `dropout`."""

import dataclasses

from experiments.study.settings import SettingsError, TrainingSettings, setting

POOL = 6000  # digits to train on; `study.digits` holds out the other 2,000


@dataclasses.dataclass(frozen=True)
class Dropout(TrainingSettings):
    """Settings of the topic `dropout`."""

    keep: float = setting(0.5, "Probability to keep a unit, in training and in every check of one p.", minimum=0.01)
    units: int = setting(256, "Units of the random layers.", minimum=2)
    batch: int = setting(16, "Examples per seed of the random layers.", minimum=1)
    seeds: int = setting(16, "Independent seeds of the random layers.", quick=8, minimum=2)
    draws: int = setting(128, "Masks drawn per seed.", minimum=2)
    small_units: int = setting(10, "Units of the layers whose 2^n masks are all enumerated.", quick=8, minimum=2)
    mask_steps: int = setting(1000, "Training steps whose masks are compared.", minimum=2)
    ensemble_units: int = setting(64, "Units of the hidden layer behind the mask in the ensemble.", quick=32, minimum=2)
    ensemble_examples: int = setting(500, "Test examples of the ensemble.", quick=200, minimum=1)
    samples: tuple[int, ...] = setting((1, 4, 16, 64, 256), "Masks in a Monte-Carlo average.", minimum=1)
    wide: int = setting(256, "Units of either hidden layer of the wide network.", quick=64, minimum=12)
    narrow: int = setting(8, "Units of either hidden layer of the narrow network.", minimum=4)
    examples: tuple[int, ...] = setting((100, 1000, 6000), "Three sizes of the training set, rising.", minimum=1)
    train_steps: int = setting(1500, "Adam steps of every run.", quick=150, minimum=1)
    train_batch: int = setting(32, "Examples per step, drawn with replacement.", minimum=1)
    train_seeds: int = setting(16, "Seeds trained at the tuned learning rate.", quick=4, minimum=2)
    learning_rates: tuple[float, ...] = setting(
        (3e-4, 1e-3, 3e-3), "Learning rates tried at first for each arm.", quick=(1e-3, 3e-3), minimum=1e-12
    )
    ablated: tuple[float, ...] = setting(
        (0.0, 0.25, 0.5, 0.75, 0.9), "Fractions of the hidden units deleted at test time; the first must be 0.", minimum=0.0
    )
    ablation_draws: int = setting(4, "Random deletions per fraction and seed.", quick=2, minimum=1)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.keep >= 1:
            raise SettingsError(f"--keep={self.keep} must lie below 1: it is the probability to keep a unit, and 1 drops none")
        if len(self.examples) != 3 or list(self.examples) != sorted(set(self.examples)) or self.examples[-1] > POOL:
            raise SettingsError(f"--examples={self.examples} must be three sizes in rising order, at most {POOL}")
        if len(self.samples) < 2 or len(set(self.samples)) < len(self.samples):
            raise SettingsError(f"--samples={self.samples} must be at least two different numbers of masks, for a slope")
        if self.ablated[0] != 0 or max(self.ablated) >= 1 or len(self.ablated) < 2:
            raise SettingsError(f"--ablated={self.ablated} must start with 0 and then have fractions below 1")
        if self.small_units > 14:
            raise SettingsError(f"--small_units={self.small_units} means 2^{self.small_units} masks; give at most 14")
