"""What a reader can change of the question `remedies`."""

import dataclasses

from experiments.study.settings import SettingsError, TrainingSettings, setting


@dataclasses.dataclass(frozen=True)
class Remedies(TrainingSettings):
    """Settings of the question `remedies`."""

    width: int = setting(128, "Units per layer of the grid.", quick=64, minimum=2)
    depths: tuple[int, ...] = setting((10, 60), "Depths of the grid.", quick=(10, 20), minimum=2)
    batch: int = setting(128, "Examples per seed of the grid, which batch normalisation sees.", quick=64, minimum=3)
    seeds: int = setting(10, "Independent seeds of the grid.", quick=2, minimum=2)
    he_width: int = setting(128, "Units per layer where He initialisation is measured.", quick=64, minimum=2)
    he_depth: int = setting(50, "Layers where He initialisation is measured.", quick=20, minimum=2)
    he_seeds: int = setting(512, "Independent seeds where He initialisation is measured.", quick=16, minimum=2)
    spread_widths: tuple[int, ...] = setting((32, 64), "Two widths at which the log-norm's variance is measured.", minimum=2)
    spread_depth: int = setting(20, "Layers where the log-norm's variance is measured.", minimum=2)
    spread_groups: int = setting(32, "Groups of networks, one estimate of the variance each.", quick=8, minimum=2)
    spread_networks: int = setting(128, "Networks per group.", quick=32, minimum=2)
    phase_points: int = setting(16, "Points per side of the phase diagram.", quick=8, minimum=2)
    phase_depth: int = setting(40, "Layers of the networks of the phase diagram.", quick=20, minimum=2)
    rnn_time: int = setting(40, "Steps of the recurrent network whose gradient is followed.", minimum=2)
    blocks: int = setting(24, "Blocks of the Transformer whose gradient is followed.", quick=8, minimum=2)
    explorer_widths: tuple[int, ...] = setting((32, 128), "Widths of the explorable profiles.", quick=(16, 64), minimum=2)
    explorer_depth: int = setting(40, "Layers of the explorable profiles.", quick=20, minimum=8)
    explorer_seeds: int = setting(4, "Independent seeds of the explorable profiles.", quick=2, minimum=2)
    train_depth: int = setting(12, "Hidden layers of the deep networks that are trained.", minimum=2)
    middle_depth: int = setting(8, "Hidden layers of the networks of middle depth that are trained.", minimum=1)
    shallow_depth: int = setting(3, "Hidden layers of the shallow networks that are trained.", minimum=1)
    train_width: int = setting(32, "Units per layer of the networks that are trained.", minimum=2)
    train_steps: int = setting(3500, "Steps of every run on the digits.", quick=40, minimum=10)
    train_batch: int = setting(32, "Examples per step.", minimum=3)
    train_seeds: int = setting(16, "Seeds trained at the tuned learning rate.", quick=2, minimum=2)
    learning_rates: tuple[float, ...] = setting(
        (1e-3, 3e-3, 1e-2), "Learning rates to begin with for each network.", quick=(3e-3, 1e-2), minimum=1e-12
    )
    reach_channels: int = setting(8, "Channels of the convolutions where layers are needed.", minimum=2)
    reach_steps: int = setting(4000, "Steps of every run where layers are needed.", quick=40, minimum=10)
    clip_limit: float = setting(5.0, "Limit of an entry, or of the norm, of a gradient that explodes.", minimum=0.0)
    clip_bound_time: int = setting(60, "Length of the sequences over which that gradient explodes.", minimum=2)
    clip_step_limit: float = setting(1.0, "The same limit in training.", minimum=0.0)
    clip_width: int = setting(32, "Units of the recurrent networks.", minimum=2)
    clip_time: int = setting(10, "Length of the adding problem in training.", minimum=2)
    clip_batch: int = setting(32, "Sequences per step.", minimum=1)
    clip_steps: int = setting(1600, "Steps of every run on the adding problem.", quick=40, minimum=10)
    clip_seeds: int = setting(20, "Seeds of the recurrent networks.", quick=4, minimum=2)
    clip_rates: tuple[float, ...] = setting(
        (0.03, 0.1, 0.3),
        "Learning rates on the adding problem, each trained with and without clipping.",
        quick=(0.3,),
        minimum=1e-12,
    )
    adaptive_width: int = setting(32, "Units per layer of the networks of the optimisers.", minimum=2)
    adaptive_depth: int = setting(6, "Sigmoid layers through which the forward signal survives.", minimum=2)
    adaptive_lost: int = setting(16, "Sigmoid layers through which it does not.", minimum=2)
    sgd_rates: tuple[float, ...] = setting(
        (0.3, 1.0, 3.0), "Learning rates to begin with for SGD on sigmoid networks.", quick=(0.3, 1.0), minimum=1e-12
    )
    adaptive_train_steps: int = setting(20_000, "Steps of these runs.", quick=40, minimum=10)
    adaptive_layers: int = setting(5, "Sigmoid layers whose first updates are compared.", minimum=2)
    adaptive_steps: int = setting(100, "Steps at each gradient scale.", quick=30, minimum=10)
    adaptive_seeds: int = setting(6, "Seeds of the optimisers.", quick=2, minimum=2)
    adaptive_rates: tuple[float, ...] = setting(
        (1e-2, 3e-2, 0.1, 0.3), "Learning rates to begin with for each optimiser at scale 1.", quick=(3e-2, 0.1), minimum=1e-12
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.spread_widths) != 2:
            raise SettingsError(f"--spread_widths={self.spread_widths} must be two widths, such as 32,128")
