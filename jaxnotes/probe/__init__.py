"""Readings of a user's own model, layer by layer: Flax Linen, Flax NNX, Equinox, or a function with `tap`."""

from jaxnotes.probe._adapted import ModelError
from jaxnotes.probe._data import InputReading, TargetReading
from jaxnotes.probe._frameworks import with_parameters
from jaxnotes.probe._loss_response import LossResponse
from jaxnotes.probe._losses import LOSSES
from jaxnotes.probe._monitor import Watched, monitor
from jaxnotes.probe._outputs import OutputReading
from jaxnotes.probe._reading import read
from jaxnotes.probe._report import Layer, Report, RunningStatistics
from jaxnotes.probe._seen_activation import Activation
from jaxnotes.probe._step import FirstStep
from jaxnotes.probe._tapping import tap

__all__ = [
    "LOSSES",
    "Activation",
    "FirstStep",
    "InputReading",
    "Layer",
    "LossResponse",
    "ModelError",
    "OutputReading",
    "Report",
    "RunningStatistics",
    "TargetReading",
    "Watched",
    "monitor",
    "read",
    "tap",
    "with_parameters",
]
