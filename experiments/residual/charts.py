"""Interactive figures of the question `residual`."""

import altair as alt

from experiments.study.figures.charts import (
    COLORS,
    HEIGHT,
    WIDTH,
    Interactive,
    distinct,
    kept,
    measured_against_predicted,
    select,
    text,
)
from experiments.study.results import Results


def residual_gain(results: Results, language: str) -> alt.Chart:
    """Gradient profiles with and without the shortcut, by depth."""
    arrays = results.claims["residual.path"].evidence.arrays
    names = {"plain": text(language, "plain", "普通网络"), "residual": text(language, "residual", "残差网络")}
    rows = []
    for depth in arrays["depths"]:
        for name, label in names.items():
            for i in kept(int(depth) + 1):
                point = {part: float(arrays[f"{name}-{depth}-{part}"][i]) for part in ("mean", "low", "high", "predicted")}
                rows.append({"depth": int(depth), "network": label, "layer": int(i), **point})
    depth = select("depth", distinct(rows, "depth"), text(language, "depth", "深度"))
    title = text(language, "log₁₀ gradient norm / last layer's", "log₁₀ 梯度范数 / 末层梯度范数")
    color = alt.Color("network:N", title=None, scale=alt.Scale(range=COLORS), legend=alt.Legend(orient="top"))
    chart = measured_against_predicted(rows, alt.X("layer:Q", title=text(language, "layer", "层")), title, color)
    return chart.transform_filter("datum.depth == depth").add_params(depth).properties(width=WIDTH, height=HEIGHT)


CHARTS = {
    "residual-gain": Interactive(
        {"en": "Choose a depth: with and without the shortcut", "zh": "选择深度：有捷径与无捷径"}, residual_gain
    ),
}
