"""Interactive figures of the question `saturation`."""

import altair as alt
import numpy as np

from experiments.study.figures.charts import COLORS, HEIGHT, WIDTH, Interactive, distinct, inline_data, select, text
from experiments.study.results import Results


def sigmoid_formats(results: Results, language: str) -> alt.Chart:
    """The sigmoid and σ(1 − σ) as each floating-point format has them."""
    arrays = results.claims["saturation.range"].evidence.arrays
    x, rows = arrays["x"], []
    names = {"sigmoid": "σ(x)", "derivative": "σ(x)(1 − σ(x))"}
    for kind in ("float16", "bfloat16", "float32", "float64"):
        sigma = np.asarray(arrays[f"sigmoid-{kind}"], np.float64)
        complement = 1 - sigma  # exact in the format for values of at least a half, and near enough below
        for name, curve in (("sigmoid", sigma), ("derivative", sigma * complement)):
            with np.errstate(divide="ignore"):
                logs = np.log10(curve)
            rows += [
                {"format": kind, "curve": names[name], "x": float(a), "log": float(b)}
                for a, b in zip(x[::5], logs[::5], strict=True)
                if np.isfinite(b)
            ]
    kind = select("kind", distinct(rows, "format"), text(language, "number format", "数值格式"), "float32")
    span = alt.param(
        name="span", value=20, bind=alt.binding_range(min=4, max=100, step=4, name=text(language, "range of x ", "x 的范围 "))
    )
    chart = alt.Chart(inline_data(rows, 3)).transform_filter("datum.format == kind && abs(datum.x) <= span").mark_line()
    chart = chart.encode(
        x=alt.X("x:Q"),
        y=alt.Y("log:Q", title=text(language, "log₁₀ of the value; nothing where it is zero", "数值的 log₁₀；为零处无曲线")),
        color=alt.Color("curve:N", title=None, scale=alt.Scale(range=COLORS), legend=alt.Legend(orient="top")),
    )
    return chart.add_params(kind, span).properties(width=WIDTH, height=HEIGHT)


CHARTS = {
    "sigmoid-formats": Interactive(
        {"en": "The sigmoid in four number formats", "zh": "四种数值格式中的 sigmoid"}, sigmoid_formats
    ),
}
