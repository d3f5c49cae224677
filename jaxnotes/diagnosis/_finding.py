"""What a diagnosis says: a finding, and the remedies for it."""

import dataclasses
import html
import math

from jaxnotes.probe._report import storable

KINDS = (
    "non-finite",
    "vanishing-gradient",
    "exploding-gradient",
    "batch-norm-explosion",
    "initialisation",
    "saturated-units",
    "dead-units",
    "constant-representation",
    "small-batch",
    "stale-statistics",
    "dropout",
    "large-update",
    "clipping",
)


@dataclasses.dataclass(frozen=True)
class Remedy:
    """Something to change.

    Attributes:
      action: what to do.
      effect: what to expect of it, with the number that theory predicts for this model where it has one.
      predicted: predicted log10 of (gradient norm at the first layer / at the last) afterwards; NaN where theory is silent.
      scales: (name, factor) of weights to rescale, one pair per call of a layer: `verify` can apply it.
      zeros: layers whose biases to set to 0: `verify` can apply it.
    """

    action: str
    effect: str
    predicted: float = math.nan
    scales: tuple[tuple[str, float], ...] = ()
    zeros: tuple[str, ...] = ()

    @property
    def applicable(self) -> bool:
        """Whether it changes parameters only, so that it can be tried on a copy."""
        return bool(self.scales or self.zeros)


@dataclasses.dataclass(frozen=True)
class Finding:
    """Something that keeps a model from training.

    Attributes:
      kind: one of KINDS.
      layers: where, by name, in order of computation; () where it concerns the whole model.
      evidence: the numbers behind it.
      claims: identifiers of the claims in the notes behind it.
      remedies: in the order in which to try them.
    """

    kind: str
    layers: tuple[str, ...]
    evidence: str
    claims: tuple[str, ...]
    remedies: tuple[Remedy, ...]

    def as_dict(self) -> dict:
        """Returns the finding for JSON."""
        return storable(self)

    def __str__(self) -> str:
        lines = [f"{self.kind}{': ' + listed(self.layers) if self.layers else ''}", f"  evidence: {self.evidence}"]
        lines += [f"  {number}. {remedy.action}: {remedy.effect}" for number, remedy in enumerate(self.remedies, 1)]
        return "\n".join((*lines, f"  notes: {', '.join(self.claims)}"))


class Findings(tuple):
    """Findings in order of importance; a tuple that shows as text and as a table in a notebook."""

    def __str__(self) -> str:
        return "\n".join(map(str, self)) or "no findings: the readings are those of a healthy model"

    def _repr_html_(self) -> str:
        if not self:
            return f"<p>{html.escape(str(self))}</p>"
        rows = []
        for found in self:
            remedies = "".join(f"<li>{html.escape(f'{r.action}: {r.effect}')}</li>" for r in found.remedies)
            cells = (found.kind, listed(found.layers), found.evidence)
            rows.append("<tr>" + "".join(f"<td>{html.escape(c)}</td>" for c in cells) + f"<td><ol>{remedies}</ol></td></tr>")
        head = "".join(f"<th>{title}</th>" for title in ("kind", "layers", "evidence", "remedies"))
        return f"<table><tr>{head}</tr>{''.join(rows)}</table>"


def listed(names: tuple[str, ...], most: int = 4) -> str:
    """Returns the names as one text, without the middle of a long list."""
    if len(names) <= most:
        return ", ".join(names)
    return f"{', '.join(names[: most - 1])}, … {names[-1]} ({len(names)} layers)"
