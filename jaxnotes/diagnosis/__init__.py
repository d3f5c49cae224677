"""Findings and remedies from a probe's readings of a user's own model."""

from jaxnotes.diagnosis.explanation import explain
from jaxnotes.diagnosis.finding import KINDS, Finding, Findings, Remedy

__all__ = ["KINDS", "Finding", "Findings", "Remedy", "explain"]
