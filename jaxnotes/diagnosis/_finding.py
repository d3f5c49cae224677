"""What a diagnosis says: a finding, and the remedies for it."""

import dataclasses
import html
import math
from collections.abc import Iterable

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
    "inputs",
    "targets",
    "labels",
    "indices",
    "target-leakage",
    "shapes",
    "output-activation",
    "loss",
    "loss-at-start",
    "no-gradient",
    "linear-network",
    "equal-units",
    "small-update",
    "weight-decay",
    "attention",
    "number-format",
    "cancellation",
    "mixed-examples",
    "low-rank-representation",
    "residual-growth",
    "outlier-channels",
    "loss-not-falling",
    "loss-oscillating",
    "loss-plateau",
    "loss-spike",
    "parameters-unchanged",
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
      claims: identifiers of the claims in the notes behind it; () where `source` stands in their place.
      remedies: in the order in which to try them.
      hint: whether the readings fit the fault and cannot decide it: what to look at, not what is wrong.
      source: what the finding rests on where no claim does, in words.
    """

    kind: str
    layers: tuple[str, ...]
    evidence: str
    claims: tuple[str, ...]
    remedies: tuple[Remedy, ...]
    hint: bool = False
    source: str = ""

    @property
    def title(self) -> str:
        """The kind, said to be a hint where it is one."""
        return f"{self.kind} (hint)" if self.hint else self.kind

    @property
    def more(self) -> str:
        """The command that prints what `describe` knows of the kind."""
        return f"jaxnotes-diagnose --explain={self.kind}"

    def as_dict(self) -> dict:
        """Returns the finding for JSON."""
        return storable(self)

    def __str__(self) -> str:
        lines = [f"{self.title}{': ' + listed(self.layers) if self.layers else ''}", f"  evidence: {self.evidence}"]
        lines += [f"  {number}. {remedy.action}: {remedy.effect}" for number, remedy in enumerate(self.remedies, 1)]
        lines += [f"  notes: {', '.join(self.claims)}"] if self.claims else []
        lines += [f"  source: {self.source}"] if self.source else []
        return "\n".join((*lines, f"  more: {self.more}"))


class Findings(tuple):
    """Findings in order of importance; a tuple that shows as text and as a table in a notebook.

    Attributes:
      checks: names of the checks that were made.
      ignored: kinds that were left out.
    """

    checks: tuple[str, ...]
    ignored: tuple[str, ...]

    def __new__(cls, found: Iterable[Finding] = (), checks: Iterable[str] = (), ignored: Iterable[str] = ()) -> "Findings":
        findings = super().__new__(cls, found)
        findings.checks = tuple(checks)
        findings.ignored = tuple(ignored)
        return findings

    def __str__(self) -> str:
        return "\n".join(map(str, self)) or self.summary

    @property
    def summary(self) -> str:
        """How many findings there are among how many checks. None is not the same as healthy."""
        found = sum(not finding.hint for finding in self)
        number = f"{found or 'no'} finding{'' if found == 1 else 's'}"
        hints = len(self) - found
        number += f" and {hints} hint{'' if hints == 1 else 's'}" if hints else ""
        number += f" among {len(self.checks)} checks" if self.checks else ""
        return f"{number}; ignored: {', '.join(self.ignored)}" if self.ignored else number

    def _repr_html_(self) -> str:
        if not self:
            return f"<p>{html.escape(str(self))}</p>"
        rows = []
        for found in self:
            remedies = "".join(f"<li>{html.escape(f'{r.action}: {r.effect}')}</li>" for r in found.remedies)
            cells = (found.title, listed(found.layers), found.evidence)
            rows.append("<tr>" + "".join(f"<td>{html.escape(c)}</td>" for c in cells) + f"<td><ol>{remedies}</ol></td></tr>")
        head = "".join(f"<th>{title}</th>" for title in ("kind", "layers", "evidence", "remedies"))
        return f"<table><tr>{head}</tr>{''.join(rows)}</table>"


def listed(names: tuple[str, ...], most: int = 4) -> str:
    """Returns the names as one text, without the middle of a long list."""
    if len(names) <= most:
        return ", ".join(names)
    return f"{', '.join(names[: most - 1])}, … {names[-1]} ({len(names)} layers)"
