"""Interactive figures of the question `invariance`."""

import altair as alt
import numpy as np

from experiments.study.figures.charts import COLORS, HEIGHT, WIDTH, Interactive, inline_data, text
from experiments.study.measurement import mean_interval
from experiments.study.results import Results


def shift_accuracy(results: Results, language: str) -> alt.Chart:
    """Test accuracy of networks trained on centred digits, by the shift of the tested ones."""
    arrays = results.claims["invariance.generalises"].evidence.arrays
    labels = {
        "polyphase": text(language, "CNN, invariant", "CNN，不变"),
        "global": text(language, "CNN, global mean", "CNN，全局平均"),
        "flatten": text(language, "CNN, flattened", "CNN，展平"),
        "mlp": "MLP",
    }
    rows = []
    for name, label in labels.items():
        accuracy = np.asarray(arrays[f"accuracy-{name}"], np.float64)
        low, high = mean_interval(accuracy)
        for i, down in enumerate(arrays["shifts"]):
            for j, right in enumerate(arrays["shifts"]):
                point = {"mean": float(accuracy.mean(0)[i, j]), "low": float(low[i, j]), "high": float(high[i, j])}
                rows.append({"network": label, "down": int(down), "right": int(right), **point})
    bind = alt.binding_range(
        min=int(arrays["shifts"].min()),
        max=int(arrays["shifts"].max()),
        step=1,
        name=text(language, "shift down ", "向下平移 "),
    )
    down = alt.param(name="down", value=0, bind=bind)
    base = alt.Chart(inline_data(rows)).encode(
        x=alt.X("right:O", title=text(language, "shift to the right, pixels", "向右平移（像素）")),
        color=alt.Color("network:N", title=None, scale=alt.Scale(range=COLORS), legend=alt.Legend(orient="top", columns=2)),
    )
    title = text(language, "test accuracy", "测试准确率")
    line = base.mark_line(point=True).encode(y=alt.Y("mean:Q", title=title, scale=alt.Scale(domain=[0, 1])))
    bars = base.mark_rule().encode(y=alt.Y("low:Q", title=title), y2="high:Q")
    chart = (line + bars).transform_filter("datum.down == down").add_params(down)
    return chart.properties(width=WIDTH, height=HEIGHT)


CHARTS = {
    "shift-accuracy": Interactive({"en": "Shift the digits", "zh": "平移数字"}, shift_accuracy),
}
