"""What a reader can change of the question `norms`."""

import dataclasses

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
    batch_sizes: tuple[int, ...] = setting((2, 8, 32, 128), "Batch sizes of the MLP, rising.", quick=(2, 32), minimum=2)
    cnn_batch_sizes: tuple[int, ...] = setting((2, 32), "Batch sizes of the CNN, rising.", minimum=2)
    examples_seen: int = setting(60_000, "Examples that the MLP sees, at every batch size.", quick=1000, minimum=1)
    cnn_examples_seen: int = setting(24_000, "Examples that the CNN sees, at every batch size.", quick=1000, minimum=1)
    domain_batch: int = setting(64, "Images per step of the MLP and the CNN.", minimum=2)
    domain_steps: int = setting(600, "Steps of the MLP and the CNN.", quick=15, minimum=1)
    text_widths: tuple[int, ...] = setting(
        (64, 32), "Units of the RNN and of the Transformer that predict characters.", quick=(32, 32), minimum=4
    )
    text_blocks: int = setting(2, "Blocks of the Transformer.", minimum=1)
    text_times: tuple[int, ...] = setting((40, 32), "Longest sequences of the RNN and of the Transformer.", minimum=2)
    text_batches: tuple[int, ...] = setting((16, 4), "Sequences per step of the RNN and of the Transformer.", minimum=1)
    text_steps: tuple[int, ...] = setting((2000, 12_000), "Steps of the RNN and of the Transformer.", quick=(30, 30), minimum=5)
    text_seeds: int = setting(16, "Seeds of these networks at the tuned learning rate.", quick=2, minimum=2)
    text_rates: tuple[float, ...] = setting(
        (3e-3, 1e-2, 3e-2), "Learning rates to begin with on text.", quick=(3e-3, 1e-2), minimum=1e-12
    )
    momenta: tuple[float, ...] = setting(
        (0.9, 0.0, 0.5, 0.99, 0.999), "Momenta of the running statistics, the usual one first.", minimum=0.0
    )
    momentum_steps: int = setting(300, "Steps after which the momenta are compared.", quick=40, minimum=1)
    train_seeds: int = setting(8, "Seeds trained at the tuned learning rate.", quick=2, minimum=2)
    learning_rates: tuple[float, ...] = setting(
        (3e-3, 1e-2, 3e-2), "Learning rates tried first for each network and norm.", quick=(1e-2, 3e-2), minimum=1e-12
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("batch_sizes", "cnn_batch_sizes"):
            sizes = getattr(self, name)
            if len(sizes) < 2 or list(sizes) != sorted(set(sizes)):
                raise SettingsError(f"--{name}={sizes} must be two or more sizes in rising order, such as 2,32,128")
            most = min(TRAIN_EXAMPLES, self.examples_seen, self.cnn_examples_seen)
            if max(*sizes, self.domain_batch) > most:
                raise SettingsError(f"--{name}={sizes} and --domain_batch={self.domain_batch} may reach {most}")
        for name in ("text_widths", "text_times", "text_batches", "text_steps"):
            if len(getattr(self, name)) != 2:
                raise SettingsError(f"--{name}={getattr(self, name)} must be two numbers, of the RNN and of the Transformer")
        if self.momenta[0] != MOMENTUM or max(self.momenta) >= 1:
            raise SettingsError(f"--momenta={self.momenta} must lie below 1 and begin with {MOMENTUM}")
