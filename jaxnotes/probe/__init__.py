"""Readings of a user's own model, layer by layer: Flax Linen, Flax NNX, Equinox, or a function with `tap`."""

from jaxnotes.probe._adapted import ModelError
from jaxnotes.probe._frameworks import with_parameters
from jaxnotes.probe._history import History
from jaxnotes.probe._monitor import monitor
from jaxnotes.probe._noise import noise_scale
from jaxnotes.probe._reading import LOSSES, read
from jaxnotes.probe._report import Layer, Report, RunningStatistics
from jaxnotes.probe._seen_activation import Activation
from jaxnotes.probe._tapping import tap
from jaxnotes.probe._watched import Watched
from jaxnotes.probe._writers import CsvWriter, JsonLinesWriter, TensorBoardWriter

__all__ = [
    "LOSSES",
    "Activation",
    "CsvWriter",
    "History",
    "JsonLinesWriter",
    "Layer",
    "ModelError",
    "Report",
    "RunningStatistics",
    "TensorBoardWriter",
    "Watched",
    "monitor",
    "noise_scale",
    "read",
    "tap",
    "with_parameters",
]
