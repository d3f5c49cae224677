"""The rules of the topic embedding on made-up evidence: met, refuted, undecided."""

import dataclasses

import pytest

from experiments.embedding.settings import Embedding
from experiments.study import rules
from experiments.study.measurement import Evidence, Measurement

CLAIMS = rules.load_claims("embedding")
SIZES = ("tiny", "small", "medium", "large")


def verdict(identifier: str, numbers: dict[str, float], half: float) -> str:
    """The verdict for values that all have the same half-width, but for what has none."""
    exact = {"function-difference", "rank-narrow", "queen-rank", "queen-rank-excluded", "node-accuracy-rows"}
    measurements = []
    for name, value in numbers.items():
        width = 0 if name in exact or name.endswith(("ratio", "gradient")) or "exponent" in name else half
        measurements.append(
            Measurement(name, value, value - width, value + width, 8, prediction=2.0 if name == "rank-narrow" else None)
        )
    return rules.judge(CLAIMS[identifier], Evidence(tuple(measurements)), dataclasses.asdict(Embedding())).verdict


COST = {"operations-exponent-one-hot": 1.0, "operations-exponent-lookup": 0.0, "operations-ratio": 500, "bytes-ratio": 900}
COST |= {"time-ratio": 6, "operations-ratio-gradient": 3, "bytes-ratio-gradient": 2}
LEARNED = {"rank-correlation-trained": 0.4, "similar-change": 0.5, "gap-trained": 0.15, "gap-shuffled": 0.01}
ANALOGY = {"queen-rank": 2, "queen-rank-excluded": 1, "accuracy": 0.2, "accuracy-excluded": 0.5}
ANALOGY |= {"accuracy-no-offset": 0.2, "gain-excluded": 0.3, "gain-offset": 0.3}
TRANSFER = {f"gain-{arm}-{size}": 0.2 for arm in ("glove", "minilm") for size in SIZES}
USES = {
    "word-gain": 0.4,
    "sentence-gain": 0.2,
    "paragraph-correlation-minilm": 0.6,
    "item-gain": 0.1,
    "node-accuracy": 0.95,
    "node-gain": -0.01,
}
EXPRESSIVE = {"error-change": 0.9, "memorised-change": -0.1, "rank-narrow": 2, "function-difference": 0.0}
EXPRESSIVE |= {"error-narrow": 0.9, "memorised-narrow": 0.9, "memorised-one-hot": 1.0}
GENERAL = {"gain-pretrained-unseen": 0.5, "gain-pretrained-rare": 0.1, "gain-scratch-unseen": -0.1, "gain-scratch-rare": 0.0}


@pytest.mark.parametrize(
    "claim, numbers, changes, expected",
    [
        ("cost", COST, {}, "holds"),
        ("cost", COST, {"time-ratio": 1.5}, "undecided"),  # slower than it should be, but nothing is refuted
        ("cost", COST, {"operations-ratio": 0.5, "bytes-ratio": 0.5}, "fails"),
        ("learned", LEARNED, {}, "holds"),
        ("learned", LEARNED, {"rank-correlation-trained": 0.03}, "undecided"),
        ("learned", LEARNED, {"gap-shuffled": 0.14}, "undecided"),  # shuffled text does as much
        ("learned", LEARNED, {"rank-correlation-trained": -0.4, "gap-trained": -0.1}, "fails"),
        ("analogy", ANALOGY, {}, "holds-if"),
        ("analogy", ANALOGY, {"queen-rank": 1, "accuracy": 0.6}, "holds"),
        ("analogy", ANALOGY, {"gain-offset": 0.05}, "undecided"),
        ("analogy", ANALOGY, {"queen-rank-excluded": 3, "accuracy-excluded": 0.1, "gain-offset": -0.1}, "fails"),
        ("transfer", TRANSFER, {}, "holds"),
        ("transfer", TRANSFER, {"gain-glove-large": 0.0}, "holds-if"),
        ("transfer", TRANSFER, {"gain-glove-small": 0.03}, "undecided"),
        ("transfer", TRANSFER, {"gain-glove-small": -0.2, "gain-glove-medium": -0.2}, "fails"),
        ("uses", USES, {}, "holds"),
        ("uses", USES, {"sentence-gain": 0.03}, "undecided"),
        ("uses", USES, {"item-gain": -0.2, "word-gain": -0.2, "node-gain": -0.2}, "fails"),
        ("expressive", EXPRESSIVE, {}, "fails"),
        ("expressive", EXPRESSIVE, {"rank-narrow": 3}, "undecided"),
        ("expressive", EXPRESSIVE, {"function-difference": 1e-3}, "undecided"),
        ("expressive", EXPRESSIVE, {"memorised-change": -0.03}, "undecided"),
        ("expressive", EXPRESSIVE, {"error-change": -0.5, "memorised-change": 0.2}, "holds"),
        ("generalisation", GENERAL, {}, "holds-if"),
        ("generalisation", GENERAL, {"gain-scratch-unseen": 0.2, "gain-scratch-rare": 0.2}, "holds"),
        ("generalisation", GENERAL, {"gain-pretrained-rare": 0.03}, "undecided"),
        ("generalisation", GENERAL, {"gain-pretrained-unseen": -0.1, "gain-pretrained-rare": -0.1}, "fails"),
    ],
)
def test_verdicts(claim, numbers, changes, expected):
    """Half-widths of 0.02: a criterion is met 0.04 from its bound."""
    assert verdict(f"embedding.{claim}", numbers | changes, 0.02) == expected
