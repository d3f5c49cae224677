"""`History`: a training run as the monitor saw it, kept, saved and loaded."""

import bisect
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax

from jaxnotes.probe._noise import noise_scale
from jaxnotes.probe._watched import Watched


class History:
    """The looks at a run, in order of steps, each step once. Numbers and names only: nothing of the model.

    Give it to `monitor`, read it at any time, hand it to `diagnosis.explain`.

    Args:
      writers: functions of a `Watched`, such as `CsvWriter`, each called once per look. A look is handed on when the next one
        comes, as `optax.MultiSteps` may still replace it; `close` hands on the last.
    """

    replaces = True  # a second record of one step takes the place of the first

    def __init__(self, *writers: Callable[[Watched], Any]):
        self._records: list[Watched] = []
        self._losses: list[tuple[int, float]] = []
        self._writers = writers
        self._waiting: Watched | None = None

    def __call__(self, record: Watched) -> None:
        """Adds a look; one of the same step takes the place of the earlier."""
        if self._waiting is not None and record.step != self._waiting.step:
            self._hand_on()
        self._waiting = record
        place = bisect.bisect_left(self._records, record.step, key=lambda kept: kept.step)
        equal = place < len(self._records) and self._records[place].step == record.step
        self._records[place : place + equal] = [record]

    def add_loss(self, step: int, loss: Any) -> None:
        """Adds the loss of a step where the loop cannot pass `value=loss` to the optimiser: each one, or one now and then."""
        self._losses.append((int(step), float(loss)))

    @property
    def records(self) -> tuple[Watched, ...]:
        """The looks so far, in order of steps, once the steps on their way have arrived."""
        jax.effects_barrier()
        return tuple(self._records)

    @property
    def losses(self) -> tuple[tuple[int, float], ...]:
        """The (step, loss) that `add_loss` was given."""
        return tuple(sorted(self._losses))

    @property
    def noise_scale(self) -> float:
        """The gradient noise scale over the second half of the looks, in examples; NaN where it was not measured.

        Below this size of a batch, twice the batch is worth nearly twice the steps; above, hardly more (McCandlish et al.
        2018, "simple" noise scale, appendix A.1: means of numerator and denominator before the ratio). Each pair of gradients
        of two steps in a row is a small batch, and their mean a batch of twice the size.
        """
        pairs = [r for r in self.records if r.examples and math.isfinite(r.gradient_product)]
        pairs = pairs[len(pairs) // 2 :]
        if not pairs:
            return math.nan
        small = sum(r.gradient_square + r.previous_square for r in pairs) / 2
        large = sum(r.gradient_square + r.previous_square + 2 * r.gradient_product for r in pairs) / 4
        return noise_scale(small, large, pairs[0].examples, 2 * pairs[0].examples)

    def save(self, path: str | Path) -> None:
        """Writes the run as JSON lines: one line per look, then one per loss of `add_loss`."""
        Path(path).write_text("".join(line(record) for record in (*self.records, *self.losses)), encoding="utf-8")

    @classmethod
    def load(cls, path: str | Path) -> "History":
        """Returns a run that `save` or a `JsonLinesWriter` wrote.

        Raises:
          ValueError: a line is none of theirs.
        """
        history = cls()
        for number, text in enumerate(Path(path).read_text(encoding="utf-8").splitlines(), 1):
            try:
                found = json.loads(text)
                if "added_loss" in found:
                    history.add_loss(found["step"], found["added_loss"])
                else:
                    history(Watched.from_dict(found))
            except (ValueError, KeyError, TypeError) as error:
                raise ValueError(f"{path}, line {number} is no line of a history saved by History.save: {error!r}") from error
        return history

    def close(self) -> None:
        """Hands the last look on to the writers and closes them."""
        jax.effects_barrier()
        self._hand_on()
        for writer in self._writers:
            getattr(writer, "close", lambda: None)()

    def __enter__(self) -> "History":
        return self

    def __exit__(self, *raised: Any) -> None:
        self.close()

    def _hand_on(self) -> None:
        record, self._waiting = self._waiting, None
        if record is not None:
            for writer in self._writers:
                writer(record)


def line(record: Watched | tuple[int, float]) -> str:
    """Returns a look, or a loss that was added, as one line of JSON."""
    if isinstance(record, Watched):
        return json.dumps(record.as_dict(), allow_nan=False) + "\n"
    step, loss = record
    return json.dumps({"step": step, "added_loss": loss if math.isfinite(loss) else str(loss)}, allow_nan=False) + "\n"
