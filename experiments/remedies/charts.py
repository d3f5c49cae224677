"""Interactive figures of the question `remedies`."""

import altair as alt
import numpy as np

from experiments.study.figures.charts import (
    COLORS,
    HEIGHT,
    WIDTH,
    Interactive,
    distinct,
    inline_data,
    kept,
    measured_against_predicted,
    select,
    text,
)
from experiments.study.results import Results


def gradient_depth(results: Results, language: str) -> alt.Chart:
    """Gradient norm over depth by activation, weight variance, width and shortcut."""
    arrays = results.claims["remedies.residual"].evidence.arrays
    layers = kept(arrays["explorer-mean"].shape[-1])[::2]
    shortcuts = [text(language, "plain", "普通网络"), text(language, "residual", "残差网络")]
    rows = [
        {
            "units": int(width),
            "activation": str(activation),
            "variance": float(variance),
            "shortcut": shortcuts[s],
            "layer": int(layer),
            "predicted": float(arrays["explorer-predicted"][a, v, s, layer]),
            **{part: float(arrays[f"explorer-{part}"][w, a, v, s, layer]) for part in ("mean", "low", "high")},
        }
        for w, width in enumerate(arrays["explorer-widths"])
        for a, activation in enumerate(arrays["explorer-activations"])
        for v, variance in enumerate(arrays["explorer-variances"])
        for s in (0, 1)
        for layer in layers
    ]
    controls = [
        select("activation", sorted(distinct(rows, "activation")), text(language, "activation", "激活函数"), "tanh"),
        select("variance", distinct(rows, "variance"), text(language, "weight variance", "权重方差")),
        select("units", distinct(rows, "units"), text(language, "width", "宽度")),
        select("shortcut", shortcuts, text(language, "network", "网络")),
    ]
    title = text(language, "log₁₀ gradient norm / last layer's", "log₁₀ 梯度范数 / 末层梯度范数")
    x = alt.X("layer:Q", title=text(language, "layer", "层"))
    chart = measured_against_predicted(rows, x, title, alt.Color("activation:N", legend=None, scale=alt.Scale(range=COLORS)), 2)
    wanted = " && ".join(f"datum.{c.name} == {c.name}" for c in controls)
    return chart.transform_filter(wanted).add_params(*controls).properties(width=WIDTH, height=HEIGHT)


def phase_diagram(results: Results, language: str) -> alt.VConcatChart:
    """Growth of the gradient over weight and bias variance with the critical line; the point can be dragged."""
    arrays = results.claims["remedies.xavier"].evidence.arrays
    weights, biases, depth = arrays["phase-weights"], arrays["phase-biases"], int(arrays["phase-depth"])
    step_x, step_y = (float(np.diff(values)[0]) / 2 for values in (weights, biases))
    cells = [
        {
            "weights": round(float(w), 4),
            "biases": round(float(b), 4),
            "slope": round(float(arrays["phase-slopes"][j, i]), 3),
        }
        for i, w in enumerate(weights)
        for j, b in enumerate(biases)
    ]
    start = cells[len(cells) // 2 + len(biases) // 2]
    chosen = alt.selection_point(
        name="point",
        fields=["weights", "biases"],
        on="pointerdown, [pointerdown, window:pointerup] > pointerover",
        toggle=False,
        clear=False,
        value=[{"weights": start["weights"], "biases": start["biases"]}],
    )
    x = alt.X("left:Q", title=text(language, "weight variance", "权重方差"), scale=alt.Scale(nice=False, zero=False))
    y = alt.Y("bottom:Q", title=text(language, "bias variance", "偏置方差"), scale=alt.Scale(nice=False, zero=False))
    growth = alt.Color(
        "slope:Q",
        title=text(language, "nats per layer", "每层奈特"),
        scale=alt.Scale(scheme="redblue", reverse=True, domainMid=0),
        legend=alt.Legend(orient="top"),
    )
    sides = {"left": f"datum.weights - {step_x}", "right": f"datum.weights + {step_x}"}
    sides |= {"bottom": f"datum.biases - {step_y}", "top": f"datum.biases + {step_y}"}
    grid = alt.Chart(inline_data(cells)).transform_calculate(**sides).mark_rect()
    grid = grid.encode(x=x, x2="right:Q", y=y, y2="top:Q", color=growth).add_params(chosen)
    line = [
        {"left": float(w), "bottom": float(b)}
        for w, b in zip(arrays["critical-weights"], arrays["critical-biases"], strict=True)
        if weights[0] - step_x <= w <= weights[-1] + step_x
    ]
    critical = alt.Chart(inline_data(line)).mark_line(color="black", strokeWidth=2)
    critical = critical.encode(x="left:Q", y="bottom:Q", order="bottom:Q")
    marked = alt.Chart(inline_data(cells)).transform_filter(chosen).mark_point(size=120, color="black", filled=True)
    marked = marked.encode(x=alt.X("weights:Q"), y=alt.Y("biases:Q"))
    ends = [
        {name: cell[name] for name in ("weights", "biases")}
        | {"layer": layer, "log": cell["slope"] * (depth - layer) / float(np.log(10))}
        for cell in cells
        for layer in (0, depth)
    ]
    profile = alt.Chart(inline_data(ends)).transform_filter(chosen).mark_line(color=COLORS[1])
    profile = profile.encode(
        x=alt.X("layer:Q", title=text(language, "layer", "层")),
        y=alt.Y("log:Q", title=text(language, "log₁₀ gradient", "log₁₀ 梯度"), scale=alt.Scale(domain=[-8, 8], clamp=True)),
    )
    above = (grid + critical + marked).properties(width=WIDTH, height=HEIGHT)
    return above & profile.properties(width=WIDTH, height=120)


CHARTS = {
    "gradient-depth": Interactive(
        {"en": "Turn the knobs: the gradient over depth", "zh": "动手调：梯度随深度的变化"}, gradient_depth
    ),
    "phase-diagram": Interactive({"en": "Drag the point through the phase diagram", "zh": "在相图中拖动圆点"}, phase_diagram),
}
