"""Readings of a user's own model, layer by layer: Flax Linen, Flax NNX, Equinox, or a function with `tap`."""

from jaxnotes.probe.activation import Activation
from jaxnotes.probe.adapted import ModelError
from jaxnotes.probe.frameworks import with_parameters
from jaxnotes.probe.monitor import Watched, monitor
from jaxnotes.probe.reading import LOSSES, read
from jaxnotes.probe.report import Layer, Report, RunningStatistics
from jaxnotes.probe.tapping import tap

__all__ = [
    "LOSSES",
    "Activation",
    "Layer",
    "ModelError",
    "Report",
    "RunningStatistics",
    "Watched",
    "monitor",
    "read",
    "tap",
    "with_parameters",
]
