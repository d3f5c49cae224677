"""How often the diagnosis is wrong: false alarms on healthy models, planted faults missed. Exits 1 beyond the targets."""

import sys

import jax
from absl import flags
from rich.console import Console
from rich.progress import track
from scipy import stats

from experiments.diagnosis import zoo
from jaxnotes import diagnosis, probe
from jaxnotes.command import start

MOST_ALARMS, LEAST_FOUND = 1 / 50, 49 / 50


def kinds(found: zoo.Case) -> set[str]:
    """Kinds of all findings on a case."""
    report = probe.read(found.model, found.batch, "cross_entropy", **found.options)
    return {finding.kind for finding in diagnosis.explain(report)}


def main(argv) -> None:
    del argv
    start.use_compilation_cache()
    seed, seeds = flags.FLAGS.seed, flags.FLAGS.seeds
    keys = jax.random.split(jax.random.key(seed), seeds)
    console = Console()
    alarms = [(name, i, kinds(build(k))) for name, build in track(zoo.HEALTHY.items(), "healthy") for i, k in enumerate(keys)]
    faults = [
        (name, i, bool(kinds(build(k)) & set(expected)))
        for name, (expected, build) in track(zoo.FAULTY.items(), "faulty")
        for i, k in enumerate(keys)
    ]
    false = [(name, i, sorted(found)) for name, i, found in alarms if found]
    missed = [(name, i) for name, i, found in faults if not found]
    for name, i, found in false:
        console.print(f"false alarm: {name}, seed {i}: {', '.join(found)}", highlight=False)
    for name, i in missed:
        console.print(f"missed: {name}, seed {i}", highlight=False)
    console.print(f"false alarms: {_rate(len(false), len(alarms))}, at most 1 in 50 wanted", highlight=False)
    console.print(f"faults found: {_rate(len(faults) - len(missed), len(faults))}, at least 49 in 50 wanted", highlight=False)
    sys.exit(len(false) > MOST_ALARMS * len(alarms) or len(faults) - len(missed) < LEAST_FOUND * len(faults))


def _rate(hits: int, of: int) -> str:
    interval = stats.binomtest(hits, of).proportion_ci()
    return f"{hits} of {of} [{interval.low:.3f}, {interval.high:.3f}]"


if __name__ == "__main__":
    flags.DEFINE_integer("seed", 0, "Seed of all randomness.", lower_bound=0, module_name=sys.argv[0])
    flags.DEFINE_integer("seeds", 4, "Seeds of every kind of model.", lower_bound=1, module_name=sys.argv[0])
    start.start(main, usage=__doc__)
