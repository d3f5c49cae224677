"""Findings and remedies from a probe's readings of a user's own model."""

from jaxnotes.diagnosis._explanation import explain
from jaxnotes.diagnosis._finding import KINDS, Finding, Findings, Remedy
from jaxnotes.diagnosis._theory import predicted_gradients
from jaxnotes.diagnosis._verification import Verified, applied, verify

__all__ = ["KINDS", "Finding", "Findings", "Remedy", "Verified", "applied", "explain", "predicted_gradients", "verify"]
