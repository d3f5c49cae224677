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
    channels: tuple[int, ...] = setting((8, 16), "Channels of the trained networks' blocks.", minimum=1)
    mlp_width: int = setting(64, "Units of either hidden layer of the MLP.", minimum=1)
    train_steps: int = setting(600, "Adam steps of every run on digits.", quick=30, minimum=10)
    train_batch: int = setting(32, "Digits per step.", minimum=1)
    train_seeds: int = setting(5, "Seeds trained at the tuned learning rate.", quick=2, minimum=2)
    everywhere_steps: int = setting(1500, "Adam steps of the network trained at all positions.", quick=30, minimum=10)
    everywhere_seeds: int = setting(8, "Seeds of the network trained at all positions.", quick=2, minimum=2)
    learning_rates: tuple[float, ...] = setting(
        (3e-3, 1e-2, 3e-2), "Learning rates tried first for each network on digits.", quick=(1e-2, 3e-2), minimum=1e-12
    )
    evaluated: int = setting(300, "Test digits at each of 81 positions.", quick=20, minimum=1)
    order_steps: int = setting(1500, "Adam steps of every run on MNIST-1D.", quick=40, minimum=10)
    order_batch: int = setting(100, "Sequences per step.", minimum=1)
    order_seeds: int = setting(4, "Seeds trained on MNIST-1D at the tuned learning rate.", quick=2, minimum=2)
    order_rates: tuple[float, ...] = setting(
        (3e-3, 1e-2, 3e-2), "Learning rates tried first for each model on MNIST-1D.", quick=(1e-2, 3e-2), minimum=1e-12
    )
