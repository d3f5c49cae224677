"""What a reader can change of the question `neurons`."""

import dataclasses

from experiments.study.settings import SettingsError, TrainingSettings, setting


@dataclasses.dataclass(frozen=True)
class Neurons(TrainingSettings):
    """Settings of the topic `neurons`."""

    seeds: int = setting(16, "Independent seeds where nothing is trained.", quick=8, minimum=2)
    n_in: int = setting(64, "Inputs of the single neuron.", minimum=2)
    batch: int = setting(64, "Examples per seed where nothing is trained.", quick=32, minimum=2)
    positions: int = setting(32, "Positions of the sequences whose receptive fields are measured.", minimum=3)
    channels: int = setting(4, "Features of each position.", minimum=1)
    kernel: int = setting(3, "Width of the convolution's kernel, odd.", minimum=3)
    convolutions: int = setting(6, "Convolution layers.", minimum=1)
    linear_width: int = setting(48, "Units per layer of the linear stacks.", quick=32, minimum=2)
    linear_depths: tuple[int, ...] = setting(
        (2, 100, 1000), "Three depths of linear stacks: shallow, deep, deepest.", quick=(2, 50, 200), minimum=1
    )
    bottleneck: int = setting(5, "Units of the narrow layer in a linear stack.", minimum=1)
    toy_width: int = setting(32, "Units of either hidden layer on XOR and two moons.", minimum=2)
    points: int = setting(
        512, "Points of XOR and two moons in each of training, validation and test set.", quick=128, minimum=8
    )
    toy_steps: int = setting(500, "Full-batch Adam steps on XOR and two moons.", quick=100, minimum=10)
    mnist1d_width: int = setting(100, "Units of either hidden layer on MNIST-1D.", quick=32, minimum=2)
    train_seeds: int = setting(16, "Seeds trained at the tuned learning rate.", quick=2, minimum=2)
    mnist1d_steps: int = setting(7000, "Adam steps on MNIST-1D.", quick=300, minimum=10)
    mnist1d_batch: int = setting(100, "Sequences of MNIST-1D per step.", quick=50, minimum=1)
    learning_rates: tuple[float, ...] = setting(
        (3e-3, 1e-2), "Learning rates tried at first for each task and arm.", minimum=1e-12
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.kernel % 2 == 0:
            raise SettingsError(f"--kernel={self.kernel} must be odd, so that it has a centre")
        if self.points % 4:
            raise SettingsError(f"--points={self.points} must be a multiple of 4, the clusters of XOR")
        if len(self.linear_depths) != 3 or list(self.linear_depths) != sorted(set(self.linear_depths)):
            raise SettingsError(
                f"--linear_depths={self.linear_depths} must be three depths in rising order, such as 2,100,1000"
            )
        if self.bottleneck >= self.linear_width:
            raise SettingsError(f"--bottleneck={self.bottleneck} must be below --linear_width={self.linear_width}")
