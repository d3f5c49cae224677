"""What a reader can change of the question `norms`."""

import dataclasses

from experiments.norms.networks import NETWORKS
from experiments.study.settings import SettingsError, TrainingSettings, setting
from jaxnotes.layers.normalization import MOMENTUM

TRAIN_EXAMPLES = 6000  # of MNIST, beside those held out to choose learning rates by


@dataclasses.dataclass(frozen=True)
class Norms(TrainingSettings):
    """Settings of the question `norms`."""

    seeds: int = setting(16, "Independent seeds where nothing is trained.", quick=8, minimum=2)
    features: int = setting(24, "Features of the random layers.", minimum=2)
    batch: int = setting(16, "Examples of the random layers.", minimum=3)
    updates: int = setting(50, "Batches that the running statistics average.", minimum=1)
    batch_sizes: tuple[int, ...] = setting((2, 4, 8, 32, 128, 512), "Batch sizes, rising.", quick=(2, 128), minimum=2)
    examples_seen: int = setting(12_000, "Examples of all steps of a run, the same at every batch size.", quick=1000, minimum=1)
    domain_batch: int = setting(64, "Examples per step of the four kinds of network.", minimum=2)
    domain_steps: int = setting(300, "Steps of the four kinds of network.", quick=15, minimum=1)
    momenta: tuple[float, ...] = setting(
        (0.0, 0.5, 0.9, 0.99, 0.999), "Momenta of the running statistics, rising; 0.9 among them.", minimum=0.0
    )
    momentum_steps: int = setting(100, "Steps after which the momenta are compared.", quick=40, minimum=1)
    train_seeds: int = setting(4, "Seeds trained at the tuned learning rate.", quick=2, minimum=2)
    domain_seeds: tuple[int, ...] = setting(
        (6, 6, 16, 12), "The same of the CNN, MLP, RNN and Transformer.", quick=(2, 2, 2, 2), minimum=2
    )
    learning_rates: tuple[float, ...] = setting(
        (3e-3, 1e-2, 3e-2), "Learning rates tried first for each network and norm.", quick=(1e-2, 3e-2), minimum=1e-12
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.batch_sizes) < 2 or list(self.batch_sizes) != sorted(set(self.batch_sizes)):
            raise SettingsError(f"--batch_sizes={self.batch_sizes} must be two or more sizes in rising order, such as 2,32,512")
        most = min(TRAIN_EXAMPLES, self.examples_seen)
        if max(*self.batch_sizes, self.domain_batch) > most:
            raise SettingsError(f"--batch_sizes={self.batch_sizes} and --domain_batch={self.domain_batch} may reach {most}")
        if len(self.domain_seeds) != len(NETWORKS):
            raise SettingsError(f"--domain_seeds={self.domain_seeds} must be {len(NETWORKS)} numbers: {', '.join(NETWORKS)}")
        if MOMENTUM not in self.momenta or max(self.momenta) >= 1:
            raise SettingsError(f"--momenta={self.momenta} must lie below 1 and have {MOMENTUM} among them")
