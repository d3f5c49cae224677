"""Plain JAX functions whose values are named by `probe.tap`."""

from collections.abc import Callable
from typing import Any

from jaxnotes.probe._adapted import Adapted, leading_axes


def adapt(function: Callable, parameters: Any) -> Adapted:
    """`function(parameters, *inputs)`, or `function(*inputs)` where parameters is None; a key goes in as `key=`."""

    def call(parameters, state, inputs, keywords, key):
        keywords = keywords if key is None else {**keywords, "key": key}
        arguments = inputs if parameters is None else (parameters, *inputs)
        return function(*arguments, **keywords)

    return Adapted(
        call, parameters, (), ("plain", function, parameters is None), "plain", leading_axes, lambda new: (function, new)
    )
