"""The questions of the notes, in the notes' order."""

import importlib

from experiments.study.topic import Topic

# A question is a folder of this name beside `study`; to add one, add its folder and its word here.
TOPICS = (
    "causes",
    "remedies",
    "residual",
    "normalization",
    "saturation",
    "norms",
    "dropout",
    "neurons",
    "pooling",
    "invariance",
    "embedding",
)


def load(name: str) -> Topic:
    """Returns the question of this name, from its folder."""
    return importlib.import_module(f"experiments.{name}.measurement").TOPIC
