"""Figures of the topic `dropout`."""
FIGURES = {}
