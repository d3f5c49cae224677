"""The pytest plugin: a fixture `assert_healthy`, there in every suite where the library is installed.

`-p no:jaxnotes` leaves it out. JAX is imported when a test first calls the fixture's function, and not before.
"""

from collections.abc import Callable
from typing import Any

import pytest


@pytest.fixture
def assert_healthy(request: pytest.FixtureRequest) -> Callable[..., Any]:
    """`jaxnotes.diagnosis.assert_healthy` under the settings of the tested project's pyproject.toml.

    What a test says comes first: its `ignore` stands in place of the file's, and each of its `thresholds` before the file's.
    """
    __tracebackhide__ = True

    def check(model: Any, batch: Any, loss: Any, *, ignore: Any = None, thresholds: Any = None, **options: Any) -> Any:
        __tracebackhide__ = True
        from jaxnotes import diagnosis

        found = diagnosis.settings(request.config.rootpath).overridden(ignore, thresholds)
        return diagnosis.assert_healthy(model, batch, loss, ignore=found.ignore, thresholds=found.thresholds, **options)

    return check
