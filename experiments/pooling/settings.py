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
    map_size: int = setting(24, "Height and width of the random maps; divisible by 2 and 3.", quick=12, minimum=6)
    maps: int = setting(64, "Random maps per seed.", quick=16, minimum=2)
    seeds: int = setting(16, "Independent seeds of what is not trained.", quick=8, minimum=2)
    speed_channels: tuple[int, ...] = setting(
        (16, 16, 16), "Channels of the blocks of the classifier whose training step is timed.", quick=(16, 16), minimum=1
    )
    speed_batch: int = setting(32, "Images of a timed step.", minimum=1)
    speed_pairs: int = setting(15, "Timed steps of each network per seed, in turn; their median counts.", quick=5, minimum=1)
    speed_seeds: int = setting(8, "Times that the two networks are drawn anew and timed.", quick=3, minimum=2)
    channels: tuple[int, ...] = setting((8, 16), "Channels of the classifier's blocks.", minimum=1)
    train_examples: int = setting(1000, "Digits trained on, drawn anew for each seed.", quick=200, minimum=100)
    train_steps: int = setting(240, "Adam steps of every run.", quick=30, minimum=10)
    train_batch: int = setting(32, "Digits per step.", minimum=1)
    train_seeds: int = setting(12, "Seeds trained at the tuned learning rate.", quick=2, minimum=2)
    learning_rates: tuple[float, ...] = setting(
        (3e-3, 1e-2, 3e-2), "Learning rates tried first for each network.", quick=(1e-2, 3e-2), minimum=1e-12
    )
    evaluated: int = setting(
        2000, "Digits on which a network is validated, and as many on which it is tested.", quick=400, minimum=1
    )
