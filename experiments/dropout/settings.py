"""What a reader can change of the question `dropout`."""

import dataclasses

from experiments.study.settings import SettingsError, TrainingSettings, setting

POOL = 6000  # digits to train on; 2,000 more are held out


@dataclasses.dataclass(frozen=True)
class Dropout(TrainingSettings):
    """Settings of the topic `dropout`."""

    keep: float = setting(0.5, "Probability to keep a unit in every check of one p.", minimum=0.01)
    units: int = setting(256, "Units of the random layers.", minimum=2)
    batch: int = setting(16, "Examples per seed of the random layers.", minimum=1)
    seeds: int = setting(16, "Independent seeds of the random layers.", quick=8, minimum=2)
    draws: int = setting(512, "Masks drawn per seed.", quick=256, minimum=2)
    small_units: int = setting(10, "Units of the layers whose 2^n masks are all enumerated.", quick=8, minimum=2)
    mask_steps: int = setting(1000, "Training steps whose masks are compared.", minimum=2)
    ensemble_keeps: tuple[float, ...] = setting((0.5, 0.8), "Two keep probabilities of the ensembles, rising.", minimum=0.01)
    ensemble_units: int = setting(64, "Units of the hidden layer behind the mask in the ensemble.", quick=32, minimum=2)
    ensemble_examples: int = setting(500, "Test examples of the ensemble.", quick=200, minimum=1)
    samples: tuple[int, ...] = setting((1, 4, 16, 64, 256), "Masks in a Monte-Carlo average.", minimum=1)
    keeps: tuple[float, ...] = setting(
        (0.6, 0.7, 0.8, 0.9), "Keep probabilities that are tried for dropout.", quick=(0.6, 0.8), minimum=0.01
    )
    wide: int = setting(128, "Units of either hidden layer of the wide network.", quick=32, minimum=12)
    narrow: int = setting(8, "Units of either hidden layer of the narrow network.", minimum=4)
    examples: tuple[int, ...] = setting(
        (100, 1000, 4000, 16000),
        "Sizes of MNIST-1D's training set: tiny, small, medium, large.",
        quick=(50, 100, 400, 800),
        minimum=1,
    )
    digits: int = setting(1000, "Size of the training set of digits, at most 6,000.", quick=300, minimum=1)
    digits_steps: int = setting(1500, "Adam steps of every run on digits.", quick=150, minimum=1)
    train_steps: int = setting(6000, "Adam steps of every run on MNIST-1D.", quick=150, minimum=1)
    short_steps: int = setting(300, "Adam steps of the run that is too short for dropout.", quick=50, minimum=1)
    train_batch: int = setting(64, "Examples per step, drawn with replacement.", quick=32, minimum=1)
    train_seeds: int = setting(12, "Seeds trained at the tuned learning rate.", quick=3, minimum=2)
    digits_seeds: int = setting(64, "Those of the networks for digits.", quick=3, minimum=2)
    control_seeds: int = setting(48, "Those of the narrow networks and of the short runs.", quick=4, minimum=2)
    learning_rates: tuple[float, ...] = setting(
        (3e-3, 1e-2), "Learning rates tried at first for each arm.", quick=(3e-3, 1e-2), minimum=1e-12
    )
    ablated: tuple[float, ...] = setting(
        (0.0, 0.25, 0.5, 0.75, 0.9), "Fractions of the hidden units deleted at test time; the first must be 0.", minimum=0.0
    )
    ablation_draws: int = setting(4, "Random deletions per fraction and seed.", quick=2, minimum=1)
    disturbances: int = setting(8, "Times that each test input is disturbed.", quick=2, minimum=1)
    noise: float = setting(0.5, "Standard deviation of the noise on inputs, whose own is about 1.", minimum=0.0)
    patch_cells: int = setting(8, "Cells of a sequence of MNIST-1D, of 40, that a patch hides.", minimum=1)
    patch_pixels: int = setting(5, "Side of the square that a patch hides in a digit of 14 × 14 pixels.", minimum=1)

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("keep", "ensemble_keeps", "keeps"):
            value = getattr(self, name)
            if max(value if isinstance(value, tuple) else (value,)) >= 1:
                raise SettingsError(f"--{name} must lie below 1: it is the probability to keep a unit, and 1 drops none")
        if len(self.ensemble_keeps) != 2 or self.ensemble_keeps[0] >= self.ensemble_keeps[1]:
            raise SettingsError(f"--ensemble_keeps={self.ensemble_keeps} must be two probabilities in rising order")
        if self.digits > POOL:
            raise SettingsError(f"--digits={self.digits} must be at most {POOL}")
        if len(self.examples) != 4 or list(self.examples) != sorted(set(self.examples)):
            raise SettingsError(f"--examples={self.examples} must be four sizes in rising order")
        if len(self.samples) < 2 or len(set(self.samples)) < len(self.samples):
            raise SettingsError(f"--samples={self.samples} must be at least two different numbers of masks, for a slope")
        if self.ablated[0] != 0 or max(self.ablated) >= 1 or len(self.ablated) < 2:
            raise SettingsError(f"--ablated={self.ablated} must start with 0 and then have fractions below 1")
        if self.small_units > 14:
            raise SettingsError(f"--small_units={self.small_units} means 2^{self.small_units} masks; give at most 14")
