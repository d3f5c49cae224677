"""Results of one claim, without measuring: what tests of the frame read, save, draw and show."""

import dataclasses

import numpy as np
import pytest

from experiments.study import results, rules, topics
from experiments.study.measurement import Evidence, Measurement, exact


@pytest.fixture
def saturation_run() -> results.Run:
    return results.Run("saturation", "python -m experiments.saturation", 0, "quick", {"width": 16}, {}, "cpu", 1.5, "k")


@pytest.fixture
def judged():
    """Judges a claim on made-up values, each with an interval of so much of itself on either side."""

    def verdict(identifier: str, values: dict[str, float], half: float = 0.05) -> str:
        found = tuple(Measurement(name, v, v - half * abs(v), v + half * abs(v), 6) for name, v in values.items())
        claim = rules.load_claims()[identifier]
        return rules.judge(claim, Evidence(found), dataclasses.asdict(topics.load(claim.topic).settings())).verdict

    return verdict


@pytest.fixture
def limits():
    """Makes the evidence of `saturation.limits`, which holds unless told otherwise."""

    def made(rate=(1.0, 1.0, 1.0), ends=(1.0, 0.0), **changes) -> Evidence:
        rates = [Measurement(name, *rate, 8, "nats", 1.0, "law") for name in ("rate-right", "rate-left")]
        numbers = (*rates, exact("at-plus-infinity", ends[0]), exact("at-minus-infinity", ends[1]))
        return Evidence(**{"measurements": numbers, "arrays": {"x": np.arange(3.0)}} | changes)

    return made
