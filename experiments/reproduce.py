"""Runs topics of the notes: measures what is missing or changed, then draws figures, numbers and pages.

A topic whose code, imports, settings, seed, package versions and device are those of its results is skipped, so an
interrupted run goes on from what is complete. Topics run side by side, each in a process of its own.
"""

import contextlib
import dataclasses
import math
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import jax
from absl import flags
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from experiments import writeup
from experiments.study import compilation, fingerprint, folder, results, run, script, settings, topics, workers
from jaxnotes.command import files, start


def main(argv) -> None:
    del argv
    values = flags.FLAGS
    chosen = _chosen_topics(values.topics)
    out_dir = Path(values.out_dir)
    start.use_compilation_cache()
    with folder.owned(out_dir):
        _reproduce(chosen, values, out_dir, Console())


def _reproduce(chosen: Sequence[str], values, out_dir: Path, console: Console) -> None:
    plan = [_plan(topic, values, out_dir) for topic in chosen]
    failed: list[str] = []
    for step in plan:
        if step.kept:
            _attempt(step.topic, partial(_keep, step, out_dir), failed, console)
    missing, site = writeup.missing_packages(), values.site and values.draw
    tutorials = values.scale == "paper" if values.tutorials is None else values.tutorials
    beside = [partial(_run_tutorials, out_dir)] if site and tutorials and not missing else []
    changed = _ordered([step for step in plan if not step.kept])
    processes = _processes(values.workers, len(changed))
    compilation.set_flags(processes=processes, short_runs=values.scale == "quick")
    failed += _run(changed, beside, processes, values, out_dir, console)
    run.write_numbers(out_dir)
    if site and missing:
        console.print(f"The site is left out: it needs {', '.join(missing)}; pip install 'jaxnotes\\[site]' has them.")
    elif site:
        writeup.build(out_dir, tutorials=tutorials)
    found = [measured for measured in results.load_all(out_dir) if measured.run.topic in chosen]
    console.print(script.verdict_table(found))
    made = {"numbers": True, "figures": values.draw, "site": site and not missing}
    console.print(f"In {out_dir}: {', '.join(name for name, there in made.items() if there)}.", highlight=False)
    if failed:
        console.print(f"[red]Failed: {', '.join(failed)}; the others are complete. Run again to retry only these.")
        sys.exit(1)
    script.end_with_comparison(found, console)


@dataclasses.dataclass(frozen=True)
class Step:
    """What is left to do for a topic: everything, or only its figures where its `earlier` results are to be `kept`."""

    topic: str
    scale: str
    settings: settings.Settings
    earlier: results.Results | None
    kept: bool
    draw: bool = True

    @property
    def seconds(self) -> float:
        """What the last run took at this scale; infinite where there was none, so that what is unknown goes first."""
        return self.earlier.run.seconds if self.earlier and self.earlier.run.scale == self.scale else math.inf


def _plan(name: str, values, out_dir: Path) -> Step:
    topic = topics.load(name)
    chosen, earlier = topic.settings.preset(values.scale), results.load(out_dir, name)
    kept = not values.force and earlier is not None and earlier.run.key == fingerprint.of_run(topic, chosen, values.seed)
    return Step(name, values.scale, chosen, earlier, kept, values.draw)


def _ordered(steps: list[Step]) -> list[Step]:
    """Returns the longest first, so that at the end no core waits long for the other."""
    return sorted(steps, key=lambda step: -step.seconds)


def _run(
    plan: Sequence[Step], beside: Sequence[workers.Task], processes: int, values, out_dir: Path, console: Console
) -> list[str]:
    """Measures and draws topics in worker processes, which do what is `beside` too; names those that failed."""
    failed: list[str] = []
    if not plan:
        return failed
    for step in plan:
        console.print(f"{step.topic}: measuring{_again(step, out_dir)}", highlight=False)
    # First what is beside, so that at the end no core waits for it.
    tasks = [*beside, *(partial(_do, step, values.seed, out_dir) for step in plan)]
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with (
        contextlib.closing(workers.run(tasks, processes)) as events,
        Progress(*columns, console=console, disable=not console.is_terminal) as progress,
    ):
        bar = progress.add_task("parts", total=sum(len(topics.load(step.topic).parts) for step in plan))
        for place, kind, value in events:
            if place < len(beside):
                continue  # where it failed, the site's build, which needs it, fails too and says why
            topic = plan[place - len(beside)].topic
            if kind == "part":
                progress.advance(bar)
            elif kind == "done":
                console.print(f"{topic}: measured in {value:.0f} s", highlight=False)
            else:
                _say_failed(topic, value, failed, console)
    return failed


def _again(step: Step, out_dir: Path) -> str:
    unread = step.earlier is None and results.exist(out_dir, step.topic)
    return " again, since what is there is damaged or of other code" if unread else ""


def _processes(asked: int, steps: int) -> int:
    """Returns the number of processes: what was asked for, else one per core, up to four for their memory; one on a GPU."""
    if not asked:
        asked = min(os.cpu_count() or 1, 4) if jax.default_backend() == "cpu" else 1
    return max(min(asked, steps), 1)


def _attempt(topic: str, call: Callable[[], str], failed: list[str], console: Console) -> None:
    """Prints what a call says of its topic; an error is shown and kept from stopping the other topics."""
    try:
        console.print(f"{topic}: {call()}", highlight=False)
    except Exception as error:
        _say_failed(topic, "".join(traceback.format_exception(error)).rstrip(), failed, console)


def _say_failed(topic: str, why: str, failed: list[str], console: Console) -> None:
    failed.append(topic)
    console.print(f"[red]{topic} failed; its earlier results stay as they were.")
    print(why, file=sys.stderr)


def _keep(step: Step, out_dir: Path) -> str:
    results.save(out_dir, step.earlier)  # the rules may have changed though the measurements have not
    if step.draw:
        run.draw(out_dir, step.earlier)
    return "unchanged"


def _run_tutorials(out_dir: Path, on_part: workers.OnPart) -> None:
    del on_part
    writeup.run_tutorials(out_dir)


def _do(step: Step, seed: int, out_dir: Path, on_part: workers.OnPart) -> float:
    """Measures and draws a topic, in a worker; returns the seconds that its measurement took."""
    files.check_writable(out_dir)  # again: hours may have passed, and hours must not be measured in vain
    start.use_compilation_cache()
    measured = run.measure_topic(
        topics.load(step.topic),
        step.settings,
        seed=seed,
        scale=step.scale,
        command=f"python -m experiments.{step.topic} --scale={step.scale} --seed={seed}",
        out_dir=out_dir,
        on_part=on_part,
    )
    if step.draw:
        run.draw(out_dir, measured)
    return measured.run.seconds


def _chosen_topics(words: list[str]) -> list[str]:
    wanted = [word for entry in words for word in entry.split()]
    unknown = [word for word in wanted if word not in topics.TOPICS]
    if unknown:
        raise settings.SettingsError(f"--topics={unknown[0]} is not one of {', '.join(topics.TOPICS)}")
    return [topic for topic in topics.TOPICS if not wanted or topic in wanted]


def _define_flags() -> None:
    script.define_common_flags()
    flags.DEFINE_list("topics", [], "Topics to run, by comma or space; all where empty.", module_name=sys.argv[0])
    flags.DEFINE_bool("draw", True, "Draw the figures, which the site needs.", module_name=sys.argv[0])
    flags.DEFINE_bool("site", True, "Build the site once the topics are done.", module_name=sys.argv[0])
    tutorials = "Run the tutorials, so that the site shows their output; at scale paper where neither is said."
    flags.DEFINE_bool("tutorials", None, tutorials, module_name=sys.argv[0])
    flags.DEFINE_integer("workers", 0, "Topics measured side by side; 0: one per core.", lower_bound=0, module_name=sys.argv[0])
    flags.DEFINE_bool("force", False, "Measure again what is unchanged too.", module_name=sys.argv[0])


if __name__ == "__main__":
    _define_flags()
    start.start(main, usage=__doc__)
