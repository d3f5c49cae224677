"""Findings and remedies from a probe's readings of a user's own model, a page on each kind of finding, a project's settings."""

from jaxnotes.diagnosis._description import Description, describe
from jaxnotes.diagnosis._explanation import explain
from jaxnotes.diagnosis._finding import KINDS, Finding, Findings, Remedy
from jaxnotes.diagnosis._health import assert_healthy
from jaxnotes.diagnosis._settings import Settings, settings
from jaxnotes.diagnosis._theory import predicted_gradients
from jaxnotes.diagnosis._thresholds import Thresholds
from jaxnotes.diagnosis._verification import Verified, applied, verify

__all__ = [
    "KINDS",
    "Description",
    "Finding",
    "Findings",
    "Remedy",
    "Settings",
    "Thresholds",
    "Verified",
    "applied",
    "assert_healthy",
    "describe",
    "explain",
    "predicted_gradients",
    "settings",
    "verify",
]
