"""What a reader can change of the question `causes`."""

import dataclasses

from experiments.study.settings import Settings, setting


@dataclasses.dataclass(frozen=True)
class Causes(Settings):
    """Settings of the topic `causes`."""

    width: int = setting(256, "Units per layer.", minimum=2)
    depth: int = setting(60, "Layers of a stack.", quick=40, minimum=10)
    shallow: int = setting(3, "Layers of the shallow stack and steps of the short recurrent one of causes.where.", minimum=1)
    batch: int = setting(8, "Examples per seed.", quick=4, minimum=1)
    seeds: int = setting(16, "Independent seeds.", quick=4, minimum=2)
    forward_seeds: int = setting(48, "Independent seeds of what happens on the way forward.", quick=12, minimum=2)
    singular_depth: int = setting(8, "Layers of the stacks whose singular values are compared.", minimum=2)
    deep: int = setting(300, "Layers of the stack of causes.depth.", quick=100, minimum=20)
    deep_seeds: int = setting(32, "Independent seeds of that stack.", quick=4, minimum=2)
    deviation: float = setting(0.2, "Distance of the factor χ from 1 in causes.depth.", minimum=1e-3)
    overflow_depth: int = setting(260, "Layers of the stack in which float32 overflows.", minimum=200)
