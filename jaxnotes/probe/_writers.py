"""Writers of a run for other programs to read: CSV, JSON lines, TensorBoard."""

import csv
import importlib
from pathlib import Path
from typing import Any

from jaxnotes.probe._history import line
from jaxnotes.probe._watched import Watched

TENSORBOARD = ("tensorboardX", "torch.utils.tensorboard", "flax.metrics.tensorboard")  # tried in turn


class CsvWriter:
    """A row per look: the step, then `Watched.scalars`, with a header of their names, fixed by the first look."""

    def __init__(self, path: str | Path):
        self._file = open(path, "w", newline="", encoding="utf-8")  # noqa: SIM115, closed by close
        self._rows: csv.DictWriter | None = None

    def __call__(self, record: Watched) -> None:
        row = {"step": record.step, **record.scalars()}
        if self._rows is None:
            self._rows = csv.DictWriter(self._file, list(row), extrasaction="ignore")
            self._rows.writeheader()
        self._rows.writerow(row)
        self._file.flush()

    def close(self) -> None:
        self._file.close()


class JsonLinesWriter:
    """A line of JSON per look, with all that is known of it; `History.load` reads it."""

    def __init__(self, path: str | Path):
        self._file = open(path, "w", encoding="utf-8")  # noqa: SIM115, closed by close

    def __call__(self, record: Watched) -> None:
        self._file.write(line(record))
        self._file.flush()

    def close(self) -> None:
        self._file.close()


class TensorBoardWriter:
    """Scalars for TensorBoard, through tensorboardX, PyTorch or Flax, whichever is installed.

    Args:
      target: a folder, or a writer of yours with `add_scalar(name, value, step)` or `scalar(name, value, step)`.

    Raises:
      ImportError: none of the packages is installed.
    """

    def __init__(self, target: str | Path | Any):
        self._writer = _summary_writer(str(target)) if isinstance(target, str | Path) else target
        self._scalar = getattr(self._writer, "add_scalar", None) or self._writer.scalar

    def __call__(self, record: Watched) -> None:
        for name, value in record.scalars().items():
            self._scalar(name, value, record.step)

    def close(self) -> None:
        self._writer.close()


def _summary_writer(folder: str) -> Any:
    for package in TENSORBOARD:
        try:
            return importlib.import_module(package).SummaryWriter(folder)
        except ImportError:
            continue
    raise ImportError(f"no package writes for TensorBoard, install one of {', '.join(TENSORBOARD)}: pip install tensorboardX")
