"""What a reader can change of the question `invariance`."""

import dataclasses

from experiments.study.settings import TrainingSettings, setting


@dataclasses.dataclass(frozen=True)
class Invariance(TrainingSettings):
    """Settings of the question `invariance`."""

    seeds: int = setting(16, "Independent seeds where nothing is trained.", quick=8, minimum=2)
    batch: int = setting(4, "Images per seed where nothing is trained.", minimum=1)
    size: int = setting(16, "Height and width of those images, even.", minimum=8)
    features: int = setting(8, "Channels of those convolutions.", minimum=1)
    noise_maps: int = setting(16, "Maps of noise per seed behind max pooling.", minimum=1)
    channels: tuple[int, ...] = setting((16, 32), "Channels of the blocks of the networks on digits.", quick=(8, 16), minimum=1)
    mlp_width: int = setting(64, "Units of either hidden layer of the MLP.", minimum=1)
    train_steps: int = setting(1000, "Adam steps of every run on digits.", quick=30, minimum=10)
    train_batch: int = setting(32, "Digits per step.", minimum=1)
    evaluated: int = setting(400, "Test digits at each of 49 positions.", quick=50, minimum=1)
    sequence_channels: tuple[int, ...] = setting((25, 25, 25), "Channels of the blocks of the networks on MNIST-1D.", minimum=1)
    sequence_steps: int = setting(1000, "Adam steps of every run on MNIST-1D.", quick=30, minimum=10)
    sequence_seeds: int = setting(12, "Seeds trained on MNIST-1D at the tuned learning rate.", quick=2, minimum=2)
    sequence_batch: int = setting(64, "Sequences per step.", minimum=1)
    examples: tuple[int, ...] = setting((250, 500, 1000), "Training sequences, rising.", quick=(250, 1000), minimum=64)
    target: float = setting(0.7, "Test accuracy for which the examples needed are counted.", minimum=0)
    tuning_seeds: int = setting(6, "Seeds on which each learning rate is chosen, and nothing else.", quick=1, minimum=1)
    learning_rates: tuple[float, ...] = setting(
        (3e-3, 1e-2, 3e-2), "Learning rates to begin with, rising.", quick=(1e-2, 3e-2), minimum=1e-12
    )
