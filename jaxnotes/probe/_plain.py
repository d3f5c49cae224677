"""Plain JAX functions: values named by `probe.tap`, and the layers of the modules that the function applies."""

import contextlib
import sys
from collections.abc import Callable, Iterator
from typing import Any

from jaxnotes.probe._adapted import Adapted, leading_axes


def adapt(function: Callable, parameters: Any) -> Adapted:
    """`function(parameters, *inputs)`, or `function(*inputs)` where parameters is None; a key goes in as `key=`."""

    def call(parameters, state, inputs, keywords, key):
        keywords = keywords if key is None else {**keywords, "key": key}
        arguments = inputs if parameters is None else (parameters, *inputs)
        with contextlib.ExitStack() as stack:
            for applied in _interceptors():
                stack.enter_context(applied(parameters))
            return function(*arguments, **keywords)

    return Adapted(
        call, parameters, (), ("plain", function, parameters is None), "plain", leading_axes, lambda new: (function, new)
    )


def _interceptors() -> Iterator[Callable[[Any], contextlib.AbstractContextManager]]:
    """Yields those of the frameworks in use that have such."""
    if "flax.linen" in sys.modules:
        from jaxnotes.probe import _linen

        yield _linen.applied
    if "haiku" in sys.modules:
        from jaxnotes.probe import _haiku

        yield _haiku.applied
