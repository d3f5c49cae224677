"""Findings of a run that `probe.monitor` watched: what did not move, what moved too far, what broke, and the loss curve."""

import math
from collections.abc import Sequence

import numpy as np

from jaxnotes.diagnosis import _loss_curve
from jaxnotes.diagnosis._finding import Finding, Findings, Remedy
from jaxnotes.diagnosis._loss_curve import INTERVALS, Curve, curve_of
from jaxnotes.diagnosis._step import WARM_UP_RATE
from jaxnotes.diagnosis._thresholds import STANDARD
from jaxnotes.probe import History, Watched

# Of the healthy runs that `_loss_curve` names:
LARGE = STANDARD.large_update_share  # update over parameters; 0.18 at most after the first looks
MOVED = 0.01  # share of its size that a layer can have moved by in a whole run: less cannot change what the model computes
GRADIENT_DECADES = 4.0  # between layers of one look; 1 at most
GROWTH_DECADES = 2.0  # of the whole gradient over a run whose loss does not fall
LOST_DECADES = 5.0  # the same, falling, where the loss does not
SPIKE_DECADES = 2.5  # of a layer's gradient, where no loss is known; 1.75 at most, in batches of one example
CHECKS = (
    "non-finite",
    "parameters-unchanged",
    "vanishing-gradient",
    "exploding-gradient",
    "large-update",
    "small-update",
    "loss-not-falling",
    "loss-oscillating",
    "loss-spike",
    "loss-plateau",
)


def explain_history(history: History) -> Findings:
    """Findings of a run. Of one that broke, what came before the first value that is not finite is read as well."""
    records = history.records
    broken = nonfinite(history)
    end = next((r.first_nonfinite for r in records if r.first_nonfinite >= 0), None)
    records = tuple(r for r in records if end is None or r.step < end)
    curve = curve_of(history, end)
    still, small, large = unchanged(records), small_update(records, curve), large_update(records, curve)
    causes = [found for found in (*still, *small, *large) if not found.hint and (found in (*small, *large) or not found.layers)]
    lost = vanishing(records, curve)
    cause = next((found.evidence for found in (*causes, *lost)), "")
    slowed = _slowed(records)
    found = [*broken, *still, *lost, *exploding(records, curve), *large, *small]
    found += [*_loss_curve.not_falling(curve, cause), *_loss_curve.oscillating(curve)]
    found += [*(_loss_curve.spike(curve) if curve.intervals else gradient_spike(records)), *_loss_curve.plateau(curve, slowed)]
    return Findings(found, CHECKS)


def nonfinite(history: History) -> list[Finding]:
    """The first gradient, else the first loss, that is NaN or infinite."""
    at = next((r for r in history.records if r.first_nonfinite >= 0), None)
    losses = [(step, loss) for step, loss in history.losses if not math.isfinite(loss)]
    if at is None and not losses:
        return []
    before = [r for r in history.records if at is not None and r.step < at.first_nonfinite]
    if at is None:
        layers, evidence = (), f"the loss is {losses[0][1]} at step {losses[0][0]}"
    else:
        layers = at.nonfinite if at.step == at.first_nonfinite else ()
        part = f"in {len(layers)} of {len(at.layers)} layers" if layers else "in some layer"
        evidence = f"the gradient is first not finite at step {at.first_nonfinite}, {part}"
    if before:
        last = before[-1]
        evidence += f"; at step {last.step} its norm was 10^{_total(last):.1f}"
        evidence += f", the loss {last.loss:.4g}" if last.losses else ""
    remedies = (
        Remedy(
            "run that step again with jax.config.update('jax_debug_nans', True)",
            "stops at the first operation that makes a NaN",
        ),
        Remedy(
            "clip the gradient by its global norm and lower the learning rate",
            "where norms had grown before, they no longer do",
        ),
        Remedy("guard logarithms, divisions and square roots at 0", "where they had not: one batch hit the edge of a function"),
    )
    return [Finding("non-finite", layers, evidence, ("causes.explode",), remedies)]


def unchanged(records: tuple[Watched, ...]) -> list[Finding]:
    """Parameters that are the same at every look; a hint where the optimiser alone holds them, which may be meant."""
    looks = [r for r in records if r.checksums is not None]
    if len(looks) < 3 or len({r.parameters for r in looks}) > 1:
        return []
    names, sums = looks[0].parameters, _stacked(looks, "checksums")
    still = [name for name, same in zip(names, (sums == sums[0]).all(axis=0), strict=True) if same]
    if not still:
        return []
    unreached = [name for name in still if all(name in r.without_gradient for r in looks)]
    rounded = [name for name in still if all(r.without_update is not None and name not in r.without_update for r in looks)]
    everything = len(still) == len(names)
    span = f"the same at all {len(looks)} looks up to step {looks[-1].step}"
    if everything:
        reason = "they get no gradient" if len(unreached) == len(still) else "they do get a gradient"
        return [_still((), f"all {len(still)} parameters are {span}; {reason}", _applied())]
    held = [name for name in still if name not in unreached and name not in rounded]
    found = [_still(tuple(unreached), f"{span}; their gradient is exactly 0", _connected())] if unreached else []
    found += [_still(tuple(rounded), f"{span}, with updates that are not 0: lost in rounding", _rounding())] if rounded else []
    return found + ([_still(tuple(held), f"{span}, with a gradient: held still", _applied(), hint=True)] if held else [])


def _still(names: tuple[str, ...], evidence: str, remedy: Remedy, hint: bool = False) -> Finding:
    source = "a parameter that the loss depends on changes at every step of every optimiser"
    return Finding("parameters-unchanged", names, evidence, (), (remedy,), hint=hint, source=source)


def _applied() -> Remedy:
    action = "look whether the updates are applied, the learning rate is not 0 and no mask freezes these parameters"
    return Remedy(action, "parameters that differ from look to look")


def _connected() -> Remedy:
    action = "look whether the output uses these parameters without stop_gradient, rounding, argmax or dead units between"
    return Remedy(action, "a gradient that is not 0")


def _rounding() -> Remedy:
    return Remedy("keep these parameters in float32", "sums that hold an update of a thousandth of the parameter and less")


def vanishing(records: tuple[Watched, ...], curve: Curve) -> list[Finding]:
    """Layers whose gradient is a tiny share of the largest all along; or a gradient lost while the loss is still high."""
    logs = _gradients(records)
    if len(logs) < 3:
        return []
    remedies = (
        Remedy("read the model with probe.read and explain the report", "names the layers' initialisation or activation"),
        Remedy("add residual connections or layer normalisation", "gradients of one size in all layers"),
    )
    claims = ("causes.product", "causes.vanish")
    known = np.isfinite(logs) & ~_starts_at_zero(records)
    far = known & (logs < logs.max(axis=1, keepdims=True) - GRADIENT_DECADES)
    weak = far.mean(axis=0) >= 0.75
    if weak.sum() >= 2:
        layers = tuple(name for name, low in zip(records[0].layers, weak, strict=True) if low)
        low, high = np.median(logs[:, weak].min(axis=1)), np.median(logs.max(axis=1))
        down = "0" if low == -math.inf else f"10^{low:.1f}"
        evidence = f"at {len(logs)} looks these layers' gradient is down to {down}, the largest is 10^{high:.1f}"
        return [Finding("vanishing-gradient", layers, evidence, claims, remedies)]
    total = np.asarray([_total(r) for r in records])
    lost = total[-2:].max() < total[: max(len(total) // 3, 1)].max() - LOST_DECADES
    if not lost or not curve.known or curve.late < 0.5 * curve.start:
        return []
    none = total[-2:].max() == -math.inf
    evidence = f"the gradient's norm went from 10^{total[0]:.1f} to {'0' if none else f'10^{total[-1]:.1f}'}, the loss to "
    evidence += f"{curve.late:.4g} from {curve.start:.4g}"
    return [Finding("vanishing-gradient", (), evidence, claims, remedies, hint=not none)]


def exploding(records: tuple[Watched, ...], curve: Curve) -> list[Finding]:
    """The gradient's norm has grown by decades and stays there, while the loss does not fall."""
    total = np.asarray([_total(r) for r in records])
    if len(total) < INTERVALS or (curve.known and curve.fell and not curve.rose):
        return []
    early, late = np.median(total[: max(len(total) // 3, 2)]), total[-max(len(total) // 4, 2) :].min()
    if not math.isfinite(early) or not late - early >= GROWTH_DECADES:
        return []
    evidence = f"the gradient's norm has grown from 10^{early:.1f} to 10^{late:.1f} and more"
    remedies = (
        Remedy("clip the gradient by its global norm", "steps stay bounded; directions are kept"),
        Remedy("lower the learning rate or warm it up", "weights that do not grow make no gradients that grow"),
    )
    return [Finding("exploding-gradient", (), evidence, ("causes.explode", "causes.updates"), remedies)]


def large_update(records: tuple[Watched, ...], curve: Curve) -> list[Finding]:
    """Steps that change a layer by a large share of its size, at several looks, or at one without a fall of the loss."""
    looks = [r for r in records if r.update_ratios is not None]
    if not looks:
        return []
    ratios, norms = _stacked(looks, "update_ratios"), _stacked(looks, "weight_norms")
    # What starts at 0 is small beside its update until it has grown.
    grown = ~_starts_at_zero(looks) | (norms >= 0.3 * norms.max(axis=0))
    over = (ratios > LARGE) & np.isfinite(ratios) & grown & (norms > 0)
    needed = 1 if curve.known and (curve.rose or not curve.fell) else 2
    found = over.sum(axis=0) >= needed
    if not found.any():
        return []
    worst = np.unravel_index(np.argmax(np.where(over & found, ratios, 0)), ratios.shape)
    evidence = f"the step at {looks[worst[0]].step} changes {looks[0].layers[worst[1]]} by {ratios[worst]:.2g} of its norm; "
    evidence += f"{int(over[:, found].sum(axis=0).max())} of {len(looks)} looks exceed {LARGE:g}, 0.001 to 0.01 is usual"
    remedies = (
        Remedy(f"divide the learning rate by about {ratios[worst] / 0.01:.1g}", "steps of 0.01 of the parameters there"),
        WARM_UP_RATE,
    )
    layers = tuple(name for name, chosen in zip(looks[0].layers, found, strict=True) if chosen)
    return [Finding("large-update", layers, evidence, ("normalization.learning-rate", "causes.updates"), remedies)]


def small_update(records: tuple[Watched, ...], curve: Curve) -> list[Finding]:
    """The sum of all steps is a small share of the parameters in every layer, and the loss does not fall."""
    looks = [r for r in records if r.update_ratios is not None]
    if len(looks) < INTERVALS or not curve.known or curve.fell:
        return []
    ratios = np.nan_to_num(_stacked(looks, "update_ratios"), nan=0.0, posinf=math.inf)
    spans = np.diff([r.step for r in looks], prepend=looks[0].step - 1).reshape(-1, 1)
    moved = (ratios * spans).sum(axis=0)
    if not 0 < moved.max() < MOVED:
        return []
    evidence = (
        f"the updates of {looks[-1].step} steps add up to {moved.max():.1g} of the parameters' norm at most; one step is "
    )
    evidence += f"{np.median(ratios.max(axis=1)):.1g} of it, 0.001 to 0.01 is usual"
    factor = 10 ** round(math.log10(1e-3 / max(np.median(ratios.max(axis=1)), 1e-30)))
    remedy = Remedy(f"multiply the learning rate by up to {factor:.0e}", "steps of a thousandth of the parameters")
    return [
        Finding("small-update", (), evidence, (), (remedy,), source="updates of healthy runs, which the threshold comes from")
    ]


def gradient_spike(records: tuple[Watched, ...]) -> list[Finding]:
    """A layer's gradient jumped, in a run whose loss is not known."""
    found = [r for r in records if r.spike and r.spike_rise > SPIKE_DECADES]
    if not found:
        return []
    worst = max(found, key=lambda r: r.spike_rise)
    evidence = f"the gradient of {worst.spike} rose 10^{worst.spike_rise:.1f} times above its mean at step {worst.spike_step}; "
    evidence += "the loss was not given"
    remedy = Remedy("pass value=loss to the optimiser's update", "tells whether the loss jumped as well")
    return [Finding("loss-spike", (worst.spike,), evidence, ("remedies.clip",), (remedy,), hint=True)]


def _gradients(records: tuple[Watched, ...]) -> np.ndarray:
    """[looks, layers] log10 norms; NaN counts as the smallest."""
    return np.nan_to_num(_stacked(records, "log10_norms"), nan=-math.inf) if records else np.zeros((0, 0))


def _stacked(records: Sequence[Watched], reading: str) -> np.ndarray:
    """[looks, …] a reading that every look has."""
    return np.stack([getattr(record, reading) for record in records])


def _total(record: Watched) -> float:
    """log10 of the norm of the whole gradient."""
    (logs,) = _stacked([record], "log10_norms")
    logs = logs[np.isfinite(logs)]
    return float(logs.max() + 0.5 * math.log10(np.sum(10 ** (2 * (logs - logs.max()))))) if logs.size else -math.inf


def _starts_at_zero(looks) -> np.ndarray:
    """[layers] whether all parameters are 0 at the first look."""
    first = looks[0].weight_norms
    return np.zeros(len(looks[0].layers), bool) if first is None else first == 0


def _slowed(records: tuple[Watched, ...]) -> bool:
    """Whether updates have shrunk to a tenth, as under a cosine schedule."""
    sizes = [float(np.nanmedian(r.update_ratios)) for r in records if r.update_ratios is not None and r.update_ratios.size]
    return len(sizes) > 2 and bool(np.median(sizes[-2:]) < 0.1 * np.nanmax(sizes[1:]))
