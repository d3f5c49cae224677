"""What a reader can change of the question `saturation`."""

import dataclasses

from experiments.study.settings import Settings, setting


@dataclasses.dataclass(frozen=True)
class Saturation(Settings):
    """Settings of the topic `saturation`."""

    width: int = setting(256, "Units per layer.", quick=64, minimum=2)
    depth: int = setting(10, "Layers of the stack that the gradient passes.", minimum=2)
    batch: int = setting(16, "Examples per seed.", quick=8, minimum=1)
    seeds: int = setting(48, "Independent seeds.", quick=4, minimum=2)
    weight_variance: float = setting(4.0, "Variance of a unit's weights times its inputs, in every arm.", minimum=1e-6)
    bias_variances: tuple[float, ...] = setting(
        (0.01, 1.0, 4.0, 16.0, 64.0, 256.0, 1024.0), "Variances of the biases, which move units into saturation.", minimum=0.0
    )
