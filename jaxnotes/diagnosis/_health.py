"""`assert_healthy`: a model in a test."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from jax import Array

from jaxnotes import probe
from jaxnotes.diagnosis._explanation import explain
from jaxnotes.diagnosis._finding import Findings


def assert_healthy(
    model: Any,
    batch: Any,
    loss: Callable[[Any, Any], Array] | str,
    *,
    ignore: Iterable[str] = (),
    thresholds: Mapping[str, float] | None = None,
    **options: Any,
) -> Findings:
    """Reads a model and fails where there is a finding; hints do not fail.

    With pytest the fixture of the same name does this under the project's settings in pyproject.toml, see `settings`.

    Args:
      model, batch, loss, options: as `probe.read` takes them.
      ignore, thresholds: as `explain` takes them.

    Returns:
      The findings: hints alone, or none.

    Raises:
      AssertionError: there is a finding; the message is the text of all.
      TypeError, ValueError: as of `probe.read` and `explain`.
    """
    __tracebackhide__ = True  # pytest shows the line of the test
    findings = explain(probe.read(model, batch, loss, **options), ignore=ignore, thresholds=thresholds)
    if not all(found.hint for found in findings):
        raise AssertionError(f"{findings.summary}\n{findings}")
    return findings
