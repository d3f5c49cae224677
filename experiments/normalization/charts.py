"""Interactive figures of the question `normalization`."""

import altair as alt

from experiments.study.figures.charts import (
    COLORS,
    HEIGHT,
    WIDTH,
    Interactive,
    measured_against_predicted,
    select,
    text,
)
from experiments.study.results import Results


def batch_norm_gain(results: Results, language: str) -> alt.Chart:
    """Gain per layer of the squared gradient behind batch normalisation, over batch or width, against theory."""
    arrays = results.claims["normalization.gradients"].evidence.arrays
    names = {
        "batch": text(language, "ReLU, over batch", "ReLU，随批量"),
        "width": text(language, "ReLU, over width", "ReLU，随宽度"),
        "linear-batch": text(language, "linear, over batch", "线性，随批量"),
    }
    rows = []
    for name, label in names.items():
        for i, size in enumerate(arrays["sizes"]):
            point = {part: float(arrays[f"{name}-{part}"][i]) for part in ("mean", "low", "high")}
            rows.append({"sweep": label, "size": int(size), **point, "predicted": float(arrays[f"{name}-predicted"][i])})
    sweep = select("sweep", list(names.values()), text(language, "sweep", "扫描"))
    x = alt.X("size:Q", title=text(language, "batch or width", "批量或宽度"), scale=alt.Scale(type="log", base=2))
    title = text(language, "gain per layer", "每层增益")
    chart = measured_against_predicted(rows, x, title, alt.Color("sweep:N", legend=None, scale=alt.Scale(range=COLORS)))
    chart = chart.transform_filter("datum.sweep == sweep").add_params(sweep)
    return chart.resolve_scale(y="shared").properties(width=WIDTH, height=HEIGHT)


CHARTS = {
    "bn-gain": Interactive({"en": "How the gain converges", "zh": "增益如何收敛"}, batch_norm_gain),
}
