"""Findings about targets that the model can read off its inputs, and about inputs that are beyond its tables."""

from jaxnotes.diagnosis._finding import Finding, Remedy
from jaxnotes.diagnosis._thresholds import Thresholds
from jaxnotes.probe import Report

CHANGE = 1e-3  # of the outputs' size; rounding in bfloat16 makes none where nothing else differs
MIXED = 3.0  # change in the changed examples over that in all others, which is as large behind batch normalisation alone
LEAKAGE = "Kaufman, Rosset, Perlich and Stitelman 2012, Leakage in data mining"


def target_leakage(report: Report, _: Thresholds) -> list[Finding]:
    """Outputs that see the inputs they are to predict; and, as a hint, an input that is the target."""
    future, targets = report.future, report.targets
    if future is not None and future.change > max(CHANGE, MIXED * future.change_elsewhere):
        evidence = (
            f"the targets are the inputs one position on, and the outputs at the first {future.kept} of {future.positions} "
            f"positions change by up to {future.change:.2g} of their size when only inputs behind them do"
        )
        remedies = (
            Remedy("mask the scores with jnp.tril: a query sees its own key and those before", "nothing of the target is seen"),
            Remedy(
                "use a recurrence in one direction and causal padding of convolutions", "outputs depend on what is past alone"
            ),
        )
        source = f"Vaswani et al. 2017, section 3.2.3; {LEAKAGE}"
        return [Finding("target-leakage", (), evidence, (), remedies, source=source)]
    if targets is None or not targets.equal_feature:
        return []
    evidence = f"the input {targets.equal_feature} equals the target in all {report.examples} examples"
    remedies = (
        Remedy("leave this input out, unless it is known before the target is", "the score on new data is what it seems"),
    )
    return [Finding("target-leakage", (), evidence, (), remedies, hint=True, source=LEAKAGE)]


def indices(report: Report, _: Thresholds) -> list[Finding]:
    """Indices beyond the table that they are of."""
    found = [lookup for lookup in report.lookups if lookup.outside > 0]
    if not found:
        return []
    worst = max(found, key=lambda lookup: lookup.outside)
    place = f" at {worst.name}" if worst.name else ""
    evidence = (
        f"{worst.outside:.1%} of the indices lie beyond a table of {worst.entries} entries{place}; the highest is "
        f"{worst.highest}. JAX raises no error: it gives NaN or the last entry"
    )
    remedies = (
        Remedy(f"give the table {worst.highest + 1} entries or more", "an entry of its own for each index"),
        Remedy("give unknown tokens and positions one entry that is kept for them", "indices that are all within the table"),
    )
    layers = tuple(lookup.name for lookup in found if lookup.name)
    return [Finding("indices", layers, evidence, (), remedies, source="JAX's rules of indexing out of bounds")]
