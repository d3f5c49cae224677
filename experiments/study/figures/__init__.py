"""Results to figures, the one place that imports matplotlib. Each topic's `figures` has `FIGURES`: claim -> drawing."""

import importlib
import io
import re
from pathlib import Path

import matplotlib
from matplotlib.backends.backend_agg import FigureCanvasAgg

from experiments.study import files
from experiments.study.figures import style
from experiments.study.results import Results, figure_files

__all__ = ["draw_topic", "render"]


def draw_topic(out_dir: Path, results: Results) -> None:
    """Draws every claim's figure of a topic into `figures/`, in each format of its scale.

    A drawing is a function of one claim's evidence that returns a matplotlib figure.
    """
    drawings = importlib.import_module(f"experiments.{results.run.topic}.figures").FIGURES
    for claim, judged in results.claims.items():
        with matplotlib.rc_context(style.PARAMETERS):
            figure = drawings[claim](judged.evidence)
            FigureCanvasAgg(figure)
            figure.get_layout_engine().execute(figure)
            matplotlib.rcParams["figure.constrained_layout.use"] = False  # until the context ends
            figure.set_layout_engine()  # laid out once, not once per format
            for name in figure_files(claim, results.run.scale):
                files.write_bytes(Path(out_dir) / "figures" / name, render(figure, name.rpartition(".")[2]))


def render(figure, suffix: str) -> bytes:
    """A figure as a file of one format: svg, pdf or png."""
    buffer = io.BytesIO()
    # No date and a fixed salt: the same results give the same bytes.
    metadata = {"svg": {"Date": None}, "pdf": {"CreationDate": None}, "png": {"Software": None}}[suffix]
    figure.savefig(buffer, format=suffix, metadata=metadata, dpi=200)
    return _slimmed(buffer.getvalue()) if suffix == "svg" else buffer.getvalue()


def _slimmed(svg: bytes) -> bytes:
    """A picture without comments and indents, positions cut to a hundredth of a point, which neither screen nor print shows."""
    text = re.sub(r"<!--.*?-->", "", svg.decode("utf-8"), flags=re.DOTALL)
    text = re.sub(r' d="[^"]*"| [xy]="[^"]*"|translate\([^)]*\)', lambda part: re.sub(r"(\.\d\d)\d+", r"\1", part[0]), text)
    return re.sub(r"\n\s*", "\n", text).encode("utf-8")
