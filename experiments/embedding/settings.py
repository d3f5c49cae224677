"""What a reader can change of the question `embedding`."""

import dataclasses

from experiments.study.settings import SettingsError, TrainingSettings, setting


@dataclasses.dataclass(frozen=True)
class Embedding(TrainingSettings):
    """Settings of the topic `embedding`."""

    symbols: int = setting(100, "Symbols of the random tables.", minimum=8)
    width: int = setting(16, "Width of the random tables.", minimum=1)
    batch: int = setting(32, "Symbols looked up at once.", minimum=1)
    seeds: int = setting(8, "Independent seeds.", minimum=2)
    steps: int = setting(50, "Steps of SGD in which a table and a product with one-hot codes are compared.", minimum=1)
    vocabularies: tuple[int, ...] = setting(
        (256, 1024, 4096, 16384), "Vocabularies whose costs are compared, rising.", quick=(256, 4096), minimum=2
    )
    repeats: int = setting(100, "Timings of a program, of which the fastest counts.", quick=20, minimum=3)
    question_batch: int = setting(512, "Analogy questions per matrix product.", minimum=1)
    candidates: int = setting(
        400_000, "Most frequent words of GloVe that may answer and are compared.", quick=30_000, minimum=1000
    )
    learned_words: int = setting(2000, "Most frequent words of the articles that are learned.", quick=1000, minimum=100)
    learned_width: int = setting(50, "Width of the learned tables.", quick=16, minimum=1)
    window: int = setting(5, "Words on either side that count as context.", minimum=1)
    learned_steps: int = setting(2000, "Adam steps of the learned tables.", quick=150, minimum=10)
    learned_batch: int = setting(1024, "Pairs per step.", minimum=8)
    negatives: int = setting(5, "Negative contexts per pair.", minimum=1)
    learned_seeds: int = setting(6, "Seeds of the learned tables.", quick=2, minimum=2)
    transfer_examples: tuple[int, ...] = setting(
        (1, 4, 16, 64), "Labelled texts per class, rising: tiny, small, medium, large.", minimum=1
    )
    transfer_steps: int = setting(200, "Adam steps of the small task.", quick=20, minimum=1)
    transfer_seeds: int = setting(8, "Seeds of the small task.", quick=2, minimum=2)
    transfer_rates: tuple[float, ...] = setting(
        (3e-3, 1e-2, 3e-2), "Learning rates tried first for each arm and size.", quick=(1e-2, 3e-2), minimum=1e-12
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.transfer_examples) != 4 or list(self.transfer_examples) != sorted(set(self.transfer_examples)):
            raise SettingsError(f"--transfer_examples={self.transfer_examples} must be four sizes in rising order")
        if len(self.vocabularies) < 2 or list(self.vocabularies) != sorted(set(self.vocabularies)):
            raise SettingsError(f"--vocabularies={self.vocabularies} must be two or more sizes in rising order")
