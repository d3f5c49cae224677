"""What networks are trained on: handwritten digits, and MNIST-1D, whose generator makes as many sequences as are asked for."""

from experiments.study import digits
from experiments.study.digits import Digits
from jaxnotes import datasets

VALIDATION = 2000  # examples held out to choose probabilities and learning rates by
CELLS = 40  # of a sequence of MNIST-1D


def mnist1d(train: int) -> Digits:
    """Returns MNIST-1D (Greydanus and Kobak 2020): `train` sequences, 2,000 held out, and a quarter of both to test."""
    data = datasets.mnist1d(shuffled=False, examples=-(-(train + VALIDATION) * 5 // 4 // 10) * 10)
    x, labels = data.train_images, data.train_labels
    return Digits((x[:train], labels[:train]), (x[train:], labels[train:]), (data.test_images, data.test_labels))


def mnist() -> Digits:
    """Returns handwritten digits of 14 × 14 pixels as vectors: 6,000, 2,000 held out, and 2,000 to test."""
    return digits.load(VALIDATION)
