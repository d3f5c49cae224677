"""What normalisation does: its formula and moments, the scales and gradients of deep stacks, and training with it."""

from experiments.normalization.drift import drift, implication
from experiments.normalization.formula import formula, moments
from experiments.normalization.gradients import gradients
from experiments.normalization.inputs import inputs
from experiments.normalization.rates import rate_limits
from experiments.normalization.saturation import saturation
from experiments.normalization.settings import Normalization
from experiments.normalization.shift import shift
from experiments.study.topic import Topic

PARTS = (drift, formula, moments, saturation, gradients, shift, rate_limits, inputs, implication)
TOPIC = Topic("normalization", Normalization, PARTS, edition=6)
