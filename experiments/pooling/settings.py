"""What a reader can change of the question `pooling`."""

import dataclasses

from experiments.study.settings import TrainingSettings, setting

CLASSES = 10


@dataclasses.dataclass(frozen=True)
class Pooling(TrainingSettings):
    """Settings of the question `pooling`."""

    cost_sizes: tuple[int, ...] = setting(
        (8, 16, 32, 64), "Even heights of the maps that are pooled.", quick=(8, 16), minimum=2
    )
    cost_batch: int = setting(64, "Images of the training step whose cost is counted.", minimum=1)
    speed_channels: tuple[int, ...] = setting(
        (16, 16, 16), "Channels of the blocks of the classifier whose training step is timed.", quick=(16, 16), minimum=1
    )
    speed_batch: int = setting(32, "Images of a timed step.", minimum=1)
    speed_pairs: int = setting(9, "Timed steps of each network per seed, in turn; their median counts.", quick=3, minimum=1)
    speed_seeds: int = setting(8, "Times that the two networks are drawn anew and timed.", quick=3, minimum=2)
    map_size: int = setting(24, "Height and width of the random maps; divisible by 2 and 3.", quick=12, minimum=6)
    maps: int = setting(64, "Random maps per seed.", quick=16, minimum=2)
    seeds: int = setting(16, "Independent seeds of what is not trained.", quick=8, minimum=2)
    channels: tuple[int, ...] = setting((8, 16), "Channels of the blocks of the classifiers of digits.", minimum=1)
    train_examples: int = setting(6000, "Digits trained on.", quick=200, minimum=100)
    train_steps: int = setting(1200, "Adam steps of every classifier of digits.", quick=40, minimum=10)
    train_batch: int = setting(32, "Digits, or sequences, per step.", minimum=1)
    train_seeds: int = setting(40, "Seeds trained at the tuned learning rate.", quick=2, minimum=2)
    learning_rates: tuple[float, ...] = setting(
        (3e-3, 1e-2, 3e-2), "Learning rates tried first for each network.", quick=(1e-2, 3e-2), minimum=1e-12
    )
    evaluated: int = setting(
        2000, "Digits on which a network is validated, and as many on which it is tested.", quick=400, minimum=1
    )
    read_examples: int = setting(1000, "Digits to which the linear read-outs of a map are fitted.", quick=200, minimum=100)
    robust_shift: int = setting(2, "Pixels by which test digits are shifted in the test of robustness.", minimum=1)
    noise: float = setting(0.7, "Standard deviation of the noise on test digits; their pixels have 0.9.", minimum=0)
    patch: int = setting(7, "Height and width of the patch of a test digit that is hidden, in pixels.", minimum=1)
    sequence_channels: tuple[int, ...] = setting(
        (16, 16, 32), "Channels of the blocks of the classifiers of MNIST-1D.", minimum=1
    )
    sequence_examples: int = setting(1000, "MNIST-1D sequences trained on, drawn anew for each seed.", quick=200, minimum=100)
    sequence_steps: int = setting(1500, "Adam steps of every classifier of MNIST-1D.", quick=60, minimum=10)
