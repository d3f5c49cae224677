"""The examples in the docstrings, run."""

import doctest
import importlib
import pkgutil

import pytest

import jaxnotes

MODULES = [module.name for module in pkgutil.walk_packages(jaxnotes.__path__, "jaxnotes.")]
WITH_EXAMPLES = {
    name for name in MODULES if any(test.examples for test in doctest.DocTestFinder().find(importlib.import_module(name)))
}


@pytest.mark.parametrize("module", sorted(WITH_EXAMPLES))
def test_examples_give_what_they_say(module):
    assert doctest.testmod(importlib.import_module(module)).failed == 0


def test_there_are_examples():
    assert len(WITH_EXAMPLES) >= 6
