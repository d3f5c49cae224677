"""Readings of a user's own model, layer by layer: Flax Linen and NNX, Equinox, Haiku, Keras 3 on JAX, a function with `tap`."""

from jaxnotes.probe._adapted import ModelError
from jaxnotes.probe._attention import Attention
from jaxnotes.probe._curvature import Curvature
from jaxnotes.probe._data import InputReading, TargetReading
from jaxnotes.probe._dependence import Dependence
from jaxnotes.probe._each_parameter import Parameter
from jaxnotes.probe._frameworks import with_parameters
from jaxnotes.probe._future import Future
from jaxnotes.probe._history import History
from jaxnotes.probe._linearity import Linearity
from jaxnotes.probe._lookups import Lookup
from jaxnotes.probe._loss_response import LossResponse
from jaxnotes.probe._losses import LOSSES
from jaxnotes.probe._monitor import monitor
from jaxnotes.probe._noise import noise_scale
from jaxnotes.probe._outputs import OutputReading
from jaxnotes.probe._reading import read
from jaxnotes.probe._report import Layer, Report, RunningStatistics
from jaxnotes.probe._residuals import Residuals, ResidualSum
from jaxnotes.probe._seen_activation import Activation
from jaxnotes.probe._squares import Cancellation, Square
from jaxnotes.probe._step import FirstStep
from jaxnotes.probe._tapping import tap
from jaxnotes.probe._watched import Watched
from jaxnotes.probe._writers import CsvWriter, JsonLinesWriter, TensorBoardWriter

__all__ = [
    "LOSSES",
    "Activation",
    "Attention",
    "Cancellation",
    "CsvWriter",
    "Curvature",
    "FirstStep",
    "Future",
    "History",
    "InputReading",
    "JsonLinesWriter",
    "Layer",
    "Linearity",
    "Lookup",
    "LossResponse",
    "ModelError",
    "OutputReading",
    "Parameter",
    "Report",
    "ResidualSum",
    "Residuals",
    "RunningStatistics",
    "Square",
    "Dependence",
    "TargetReading",
    "TensorBoardWriter",
    "Watched",
    "monitor",
    "noise_scale",
    "read",
    "tap",
    "with_parameters",
]
