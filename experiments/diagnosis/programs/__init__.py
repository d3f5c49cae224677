"""Programs by family: healthy ones, and ones with one fault, whose ideas are from public sets of faulty programs."""

from experiments.diagnosis.program import Program
from experiments.diagnosis.programs import (
    autoencoders,
    binary,
    classification,
    images,
    labels,
    language,
    normalisation,
    numbers,
    optimisers,
    regression,
    scales,
    sequences,
    structures,
    units,
)

FAMILIES = {
    "classification": classification,
    "binary": binary,
    "regression": regression,
    "labels": labels,
    "scales": scales,
    "units": units,
    "optimisers": optimisers,
    "normalisation": normalisation,
    "images": images,
    "sequences": sequences,
    "language": language,
    "autoencoders": autoencoders,
    "structures": structures,
    "numbers": numbers,
}


def healthy() -> dict[str, tuple[Program, ...]]:
    """Returns the healthy programs by family."""
    return {name: family.HEALTHY for name, family in FAMILIES.items()}


def faulty() -> dict[str, tuple[Program, ...]]:
    """Returns the faulty programs by family."""
    return {name: family.FAULTY for name, family in FAMILIES.items()}
