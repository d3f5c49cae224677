"""A copy of the project with two questions: `coin`, and `press`, which does what the environment variable FAULT says."""

import os
import shutil
import subprocess
from pathlib import Path

from tests.faults import processes

TOPICS = ("coin", "press")


def make(folder: Path) -> Path:
    """Returns the folder, with the copy in it."""
    for package in ("experiments", "jaxnotes"):
        shutil.copytree(processes.ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    for topic in TOPICS:
        (folder / "experiments" / topic).mkdir()
        for name, text in FILES.items():
            (folder / "experiments" / topic / name).write_text(text.replace("TOPIC_NAME", topic))
    (folder / "experiments/study/topics.py").write_text(WORDS)
    return folder


def start(project: Path, out_dir: Path, *arguments: str, fault: str = "", before: tuple[str, ...] = (), **environment: str):
    """Starts a quick run of both questions, with a command `before` its own; it leads a group of processes."""
    given = {"FAULT": fault, "OUT": str(out_dir), "PYTHONPATH": str(project), "JAX_COMPILATION_CACHE_DIR": str(project / "jax")}
    command = [*before, processes.sys.executable, "-m", "experiments.reproduce", "--scale=quick", "--nosite", "--workers=2"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(
        [*command, f"--out_dir={out_dir}", *arguments],
        cwd=project,
        env={name: value for name, value in (os.environ | given | environment).items() if value != "unset"},
        start_new_session=True,
        **pipes,
    )


def run(project: Path, out_dir: Path, *arguments: str, **options) -> tuple[int, str, str]:
    """Returns status, output and errors of a whole run."""
    process = start(project, out_dir, *arguments, **options)
    shown, said = process.communicate(timeout=300)
    return process.returncode, shown, said


WORDS = f"""
import importlib

TOPICS = {TOPICS!r}


def load(name):
    return importlib.import_module(f"experiments.{{name}}.measurement").TOPIC
"""

FILES = {
    "__init__.py": '"""Does it fall on both sides?"""\n',
    "settings.py": """
import dataclasses

from experiments.study.settings import Settings, setting


@dataclasses.dataclass(frozen=True)
class Throws(Settings):
    throws: int = setting(64, "Throws.", quick=32, minimum=2)
""",
    "measurement.py": """
import contextlib
import os
import shutil
import signal
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from experiments.TOPIC_NAME.settings import Throws
from experiments.study.measurement import Evidence, interval
from experiments.study.topic import Topic


def fall(settings: Throws, key):
    heads = jax.random.bernoulli(key, 0.5, (settings.throws,))
    walk = jnp.cumsum(jax.random.normal(key, (settings.throws, 50)), axis=1)
    if "TOPIC_NAME" == "press":
        press(Path(os.environ["OUT"]))
    return {"TOPIC_NAME.fall": Evidence((interval("heads", heads),), {"walk": np.asarray(walk)})}


def press(out_dir):
    fault = os.environ["FAULT"]
    if fault == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    elif fault == "vanishing":
        while not (out_dir / "results/coin.json").exists():
            time.sleep(0.01)
        shutil.rmtree(out_dir)
    elif fault == "full":
        while not (out_dir / "figures/.coin").exists():
            time.sleep(0.01)
        with contextlib.suppress(OSError), open(out_dir / "filling", "wb", buffering=0) as file:
            while file.write(bytes(4096)):
                pass
    elif fault == "waiting":
        time.sleep(300)


TOPIC = Topic("TOPIC_NAME", Throws, (fall,))
""",
    "figures.py": """
from experiments.study.figures.style import new_figure


def fall(evidence):
    figure, axes = new_figure()
    axes.plot(evidence.arrays["walk"][0])
    return figure


FIGURES = {"TOPIC_NAME.fall": fall}
""",
    "claims.toml": """
["TOPIC_NAME.fall"]
en = "It falls on both sides."
zh = "两面都会出现。"
caption.en = "A walk. It goes up and down."
caption.zh = "随机游走。有升有降。"
holds = ["heads above 0"]
fails = ["heads below 0"]
""",
}
