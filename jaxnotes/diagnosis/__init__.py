"""Findings and remedies from a probe's readings of a user's own model."""

from jaxnotes.diagnosis.explanation import explain
from jaxnotes.diagnosis.finding import KINDS, Finding, Findings, Remedy
from jaxnotes.diagnosis.theory import predicted_gradients
from jaxnotes.diagnosis.verification import Verified, verify

__all__ = ["KINDS", "Finding", "Findings", "Remedy", "Verified", "explain", "predicted_gradients", "verify"]
