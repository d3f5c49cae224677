"""What a reader can change of the question `embedding`."""

import dataclasses

from experiments.study.settings import SettingsError, TrainingSettings, setting


@dataclasses.dataclass(frozen=True)
class Embedding(TrainingSettings):
    """Settings of the topic `embedding`."""

    learning_rates: tuple[float, ...] = setting((3e-3, 1e-2, 3e-2), "Learning rates to begin with, rising.", quick=(1e-2, 3e-2))
    symbols: int = setting(100, "Symbols of the random tables.", minimum=8)
    width: int = setting(16, "Width of the random tables.", minimum=1)
    batch: int = setting(32, "Symbols looked up at once.", minimum=1)
    seeds: int = setting(8, "Independent seeds of what is not trained.", minimum=2)
    steps: int = setting(50, "Steps of SGD in which a table and a product with one-hot codes are compared.", minimum=1)
    vocabularies: tuple[int, ...] = setting(
        (256, 1024, 4096, 16384), "Vocabularies whose costs are compared, rising.", quick=(256, 4096), minimum=2
    )
    repeats: int = setting(100, "Timings of a program, of which the fastest counts.", quick=20, minimum=3)
    question_batch: int = setting(512, "Analogy questions per matrix product.", minimum=1)
    candidates: int = setting(
        400_000, "Most frequent words of GloVe that may answer and are compared.", quick=30_000, minimum=1000
    )
    learned_words: int = setting(5000, "Most frequent words of the articles that are learned.", quick=1000, minimum=100)
    learned_width: int = setting(50, "Width of the learned tables.", quick=16, minimum=1)
    window: int = setting(5, "Words on either side that count as context.", minimum=1)
    learned_steps: int = setting(2500, "Adam steps of the learned tables.", quick=150, minimum=10)
    learned_batch: int = setting(2048, "Pairs per step.", quick=1024, minimum=8)
    learned_rates: tuple[float, ...] = setting(
        (1e-3, 3e-3, 1e-2), "The same for the learned tables.", quick=(3e-3, 1e-2), minimum=1e-12
    )
    negatives: int = setting(5, "Negative contexts per pair.", minimum=1)
    learned_seeds: int = setting(4, "Seeds of the learned tables.", quick=2, minimum=2)
    transfer_examples: tuple[int, ...] = setting(
        (1, 4, 16, 64), "Labelled texts per class, rising: tiny, small, medium, large.", quick=(1, 2, 4, 8), minimum=1
    )
    transfer_texts: tuple[int, ...] = setting(
        (96, 40, 80),
        "Texts of each class to draw from for training, for validation and as the test.",
        quick=(8, 8, 20),
        minimum=1,
    )
    transfer_steps: int = setting(200, "Adam steps of the small tasks.", quick=20, minimum=1)
    kinds_steps: int = setting(800, "Adam steps of the task of words' kinds.", quick=50, minimum=1)
    wrong_labels: float = setting(0.3, "Share of the words' labels that are wrong.", minimum=0)
    pair_symbols: int = setting(32, "Symbols of whose pairs the labels are memorised.", quick=8, minimum=2)
    pair_hidden: int = setting(48, "Hidden units of the network that memorises.", quick=16, minimum=1)
    map_symbols: int = setting(64, "Symbols of the linear map.", quick=16, minimum=2)
    map_targets: int = setting(48, "Targets of each symbol of the linear map.", quick=12, minimum=1)
    expressive_widths: tuple[int, ...] = setting((2, 8, 32), "Widths of the tables, rising.", quick=(2, 8), minimum=1)
    expressive_steps: int = setting(2000, "Adam steps of the map and of the network that memorises.", quick=100, minimum=10)
    review_seeds: int = setting(24, "Seeds of the splits of film reviews.", quick=2, minimum=2)
    item_seeds: int = setting(32, "Seeds of the tables of items and of nodes.", quick=4, minimum=2)

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.transfer_examples) != 4 or list(self.transfer_examples) != sorted(set(self.transfer_examples)):
            raise SettingsError(f"--transfer_examples={self.transfer_examples} must be four sizes in rising order")
        if len(self.transfer_texts) != 3 or self.transfer_texts[0] < self.transfer_examples[-1]:
            least = self.transfer_examples[-1]
            raise SettingsError(f"--transfer_texts={self.transfer_texts} must be three sizes, the first at least {least}")
        if len(self.vocabularies) < 2 or list(self.vocabularies) != sorted(set(self.vocabularies)):
            raise SettingsError(f"--vocabularies={self.vocabularies} must be two or more sizes in rising order")
