"""What holds for every question: its object, its claims and a drawing for each of them."""

import importlib

import pytest

from experiments.study import rules, topics


@pytest.mark.parametrize("name", topics.TOPICS)
def test_a_folder_is_a_question(name):
    topic = topics.load(name)
    assert topic.name == name
    assert importlib.import_module(f"experiments.{name}").__doc__.endswith("?")


@pytest.mark.parametrize("name", topics.TOPICS)
def test_every_claim_has_its_drawing(name):
    drawings = importlib.import_module(f"experiments.{name}.figures").FIGURES
    assert set(drawings) == set(rules.load_claims(name))
