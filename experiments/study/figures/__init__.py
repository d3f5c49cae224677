"""Results to figures. Each topic's `figures` has `FIGURES`: claim -> drawing."""

import importlib
from pathlib import Path

import matplotlib
from matplotlib.backends.backend_agg import FigureCanvasAgg

from experiments.study.results import Results, figure_files
from jaxnotes.command import files
from jaxnotes.command.style import PARAMETERS, render


def draw_topic(out_dir: Path, results: Results) -> None:
    """Draws every claim's figure of a topic into `figures/`, in each format of its scale.

    A drawing is a function of one claim's evidence that returns a matplotlib figure.
    """
    drawings = importlib.import_module(f"experiments.{results.run.topic}.figures").FIGURES
    for claim, judged in results.claims.items():
        with matplotlib.rc_context(PARAMETERS):
            figure = drawings[claim](judged.evidence)
            FigureCanvasAgg(figure)
            figure.get_layout_engine().execute(figure)
            matplotlib.rcParams["figure.constrained_layout.use"] = False  # until the context ends
            figure.set_layout_engine()  # laid out once, not once per format
            for name in figure_files(claim, results.run.scale):
                files.write_bytes(Path(out_dir) / "figures" / name, render(figure, name.rpartition(".")[2]))
