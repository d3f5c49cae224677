"""Results to figures: the one place that imports matplotlib. A module a topic, each with `FIGURES`, claim -> drawing."""

import importlib
import io
import re
from pathlib import Path

import matplotlib
from matplotlib.backends.backend_agg import FigureCanvasAgg

from experiments import files
from experiments.figures import fonts, style
from experiments.results import FIGURE_FORMATS, Results, figure_files

__all__ = ["all_drawn", "draw_topic", "render"]


def draw_topic(out_dir: Path, results: Results) -> None:
    """Draws every claim's figure of a topic into `figures/`, in each format.

    A drawing is a function of one claim's evidence that returns a matplotlib figure.
    """
    fonts.register()
    drawings = importlib.import_module(f"experiments.figures.{results.header['topic']}").FIGURES
    for claim, evidence in results.claims.items():
        with matplotlib.rc_context(style.PARAMETERS):
            figure = drawings[claim](evidence)
            FigureCanvasAgg(figure)
            figure.get_layout_engine().execute(figure)
            matplotlib.rcParams["figure.constrained_layout.use"] = False  # until the context ends
            figure.set_layout_engine()  # laid out once, not once a format
            for name, suffix in zip(figure_files(claim), FIGURE_FORMATS, strict=True):
                files.write_bytes(Path(out_dir) / "figures" / name, render(figure, suffix))


def all_drawn(out_dir: Path, results: Results) -> bool:
    """Whether each figure's files are there."""
    folder = Path(out_dir) / "figures"
    return all((folder / name).is_file() for claim in results.claims for name in figure_files(claim))


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
