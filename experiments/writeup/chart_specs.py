"""The interactive figures as Vega-Altair charts, made from the arrays of results alone."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import altair as alt
import numpy as np

from experiments.study.measurement import mean_interval
from experiments.study.results import Results

COLORS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7"]  # Okabe and Ito (2008)
WIDTH, HEIGHT = 300, 260  # pixels: a telephone's width with the axis beside it
_POINTS = 11  # a curve has at most about so many


def _text(language: str, en: str, zh: str) -> str:
    return zh if language == "zh" else en


def _select(name: str, options: list, label: str, start=None) -> alt.Parameter:
    bind = alt.binding_select(options=options, name=f"{label} ")
    return alt.param(name=name, bind=bind, value=options[0] if start is None else start)


def _data(rows: list[dict], decimals: int = 4) -> alt.InlineData:
    """Rows as Vega-Lite takes them, numbers cut to what a screen can show."""
    return alt.InlineData(
        values=[{k: round(v, decimals) if isinstance(v, float) else v for k, v in row.items()} for row in rows]
    )


def _values(rows: list[dict], name: str) -> list:
    """Distinct values of a field, in their order."""
    return list(dict.fromkeys(row[name] for row in rows))


def _kept(points: int) -> np.ndarray:
    return np.unique(np.linspace(0, points - 1, min(_POINTS, points)).round().astype(int))


def _measured_against_predicted(rows: list[dict], x: alt.X, y: str, color: alt.Color, decimals: int = 4) -> alt.LayerChart:
    """Predictions as lines, measurements as points with intervals."""
    base = alt.Chart(_data(rows, decimals)).encode(x=x, color=color)
    line = base.mark_line().encode(y=alt.Y("predicted:Q", title=y))
    points = base.mark_point(filled=False).encode(y=alt.Y("mean:Q", title=y, scale=alt.Scale(zero=False)))
    bars = base.mark_rule().encode(y=alt.Y("low:Q", title=y), y2="high:Q")
    return line + bars + points


def gradient_depth(results: Mapping[str, Results], language: str) -> alt.Chart:
    """Gradient norm over depth by activation, weight variance, width and shortcut."""
    arrays = results["remedies"].claims["remedies.residual"].evidence.arrays
    layers = _kept(arrays["explorer-mean"].shape[-1])[::2]
    shortcuts = [_text(language, "plain", "普通网络"), _text(language, "residual", "残差网络")]
    rows = [
        {
            "units": int(width), "activation": str(activation), "variance": float(variance), "shortcut": shortcuts[s],
            "layer": int(layer), "predicted": float(arrays["explorer-predicted"][a, v, s, layer]),
            **{part: float(arrays[f"explorer-{part}"][w, a, v, s, layer]) for part in ("mean", "low", "high")},
        }
        for w, width in enumerate(arrays["explorer-widths"])
        for a, activation in enumerate(arrays["explorer-activations"])
        for v, variance in enumerate(arrays["explorer-variances"])
        for s in (0, 1)
        for layer in layers
    ]  # fmt: skip
    controls = [
        _select("activation", sorted(_values(rows, "activation")), _text(language, "activation", "激活函数"), "tanh"),
        _select("variance", _values(rows, "variance"), _text(language, "weight variance", "权重方差")),
        _select("units", _values(rows, "units"), _text(language, "width", "宽度")),
        _select("shortcut", shortcuts, _text(language, "network", "网络")),
    ]
    title = _text(language, "log10 gradient norm / last layer's", "log10 梯度范数 / 末层梯度范数")
    x = alt.X("layer:Q", title=_text(language, "layer", "层"))
    chart = _measured_against_predicted(
        rows, x, title, alt.Color("activation:N", legend=None, scale=alt.Scale(range=COLORS)), 2
    )
    wanted = " && ".join(f"datum.{c.name} == {c.name}" for c in controls)
    return chart.transform_filter(wanted).add_params(*controls).properties(width=WIDTH, height=HEIGHT)


def residual_gain(results: Mapping[str, Results], language: str) -> alt.Chart:
    """Gradient profiles with and without the shortcut, by depth."""
    arrays = results["residual"].claims["residual.path"].evidence.arrays
    names = {"plain": _text(language, "plain", "普通网络"), "residual": _text(language, "residual", "残差网络")}
    rows = []
    for depth in arrays["depths"]:
        for name, label in names.items():
            for i in _kept(int(depth) + 1):
                point = {part: float(arrays[f"{name}-{depth}-{part}"][i]) for part in ("mean", "low", "high", "predicted")}
                rows.append({"depth": int(depth), "network": label, "layer": int(i), **point})
    depth = _select("depth", _values(rows, "depth"), _text(language, "depth", "深度"))
    title = _text(language, "log10 gradient norm / last layer's", "log10 梯度范数 / 末层梯度范数")
    color = alt.Color("network:N", title=None, scale=alt.Scale(range=COLORS), legend=alt.Legend(orient="top"))
    chart = _measured_against_predicted(rows, alt.X("layer:Q", title=_text(language, "layer", "层")), title, color)
    return chart.transform_filter("datum.depth == depth").add_params(depth).properties(width=WIDTH, height=HEIGHT)


def phase_diagram(results: Mapping[str, Results], language: str) -> alt.VConcatChart:
    """Growth of the gradient over weight and bias variance with the critical line; the point can be dragged."""
    arrays = results["remedies"].claims["remedies.xavier"].evidence.arrays
    weights, biases, depth = arrays["phase-weights"], arrays["phase-biases"], int(arrays["phase-depth"])
    step_x, step_y = (float(np.diff(values)[0]) / 2 for values in (weights, biases))
    cells = [
        {
            "weights": round(float(w), 4), "biases": round(float(b), 4), "slope": round(float(arrays["phase-slopes"][j, i]), 3),
        }
        for i, w in enumerate(weights)
        for j, b in enumerate(biases)
    ]  # fmt: skip
    start = cells[len(cells) // 2 + len(biases) // 2]
    chosen = alt.selection_point(
        name="point",
        fields=["weights", "biases"],
        on="pointerdown, [pointerdown, window:pointerup] > pointerover",
        toggle=False,
        clear=False,
        value=[{"weights": start["weights"], "biases": start["biases"]}],
    )
    x = alt.X("left:Q", title=_text(language, "weight variance", "权重方差"), scale=alt.Scale(nice=False, zero=False))
    y = alt.Y("bottom:Q", title=_text(language, "bias variance", "偏置方差"), scale=alt.Scale(nice=False, zero=False))
    growth = alt.Color(
        "slope:Q",
        title=_text(language, "nats a layer", "每层 nat"),
        scale=alt.Scale(scheme="redblue", reverse=True, domainMid=0),
        legend=alt.Legend(orient="top"),
    )
    sides = {"left": f"datum.weights - {step_x}", "right": f"datum.weights + {step_x}"}
    sides |= {"bottom": f"datum.biases - {step_y}", "top": f"datum.biases + {step_y}"}
    grid = alt.Chart(_data(cells)).transform_calculate(**sides).mark_rect()
    grid = grid.encode(x=x, x2="right:Q", y=y, y2="top:Q", color=growth).add_params(chosen)
    line = [
        {"left": float(w), "bottom": float(b)}
        for w, b in zip(arrays["critical-weights"], arrays["critical-biases"], strict=True)
        if weights[0] - step_x <= w <= weights[-1] + step_x
    ]
    critical = alt.Chart(_data(line)).mark_line(color="black", strokeWidth=2)
    critical = critical.encode(x="left:Q", y="bottom:Q", order="bottom:Q")
    marked = alt.Chart(_data(cells)).transform_filter(chosen).mark_point(size=120, color="black", filled=True)
    marked = marked.encode(x=alt.X("weights:Q"), y=alt.Y("biases:Q"))
    ends = [
        {name: cell[name] for name in ("weights", "biases")}
        | {"layer": layer, "log": cell["slope"] * (depth - layer) / float(np.log(10))}
        for cell in cells
        for layer in (0, depth)
    ]
    profile = alt.Chart(_data(ends)).transform_filter(chosen).mark_line(color=COLORS[1])
    profile = profile.encode(
        x=alt.X("layer:Q", title=_text(language, "layer", "层")),
        y=alt.Y("log:Q", title=_text(language, "log10 gradient", "log10 梯度"), scale=alt.Scale(domain=[-8, 8], clamp=True)),
    )
    above = (grid + critical + marked).properties(width=WIDTH, height=HEIGHT)
    return above & profile.properties(width=WIDTH, height=120)


def sigmoid_formats(results: Mapping[str, Results], language: str) -> alt.Chart:
    """The sigmoid and σ(1 − σ) as each floating-point format has them."""
    arrays = results["saturation"].claims["saturation.range"].evidence.arrays
    x, rows = arrays["x"], []
    names = {"sigmoid": "σ(x)", "derivative": "σ(x)(1 − σ(x))"}
    for kind in ("float16", "bfloat16", "float32", "float64"):
        values = np.asarray(arrays[f"sigmoid-{kind}"], np.float64)
        complement = 1 - values  # exact in the format for values of at least a half, and near enough below
        for name, curve in (("sigmoid", values), ("derivative", values * complement)):
            with np.errstate(divide="ignore"):
                logs = np.log10(curve)
            rows += [
                {"format": kind, "curve": names[name], "x": float(a), "log": float(b)}
                for a, b in zip(x[::5], logs[::5], strict=True)
                if np.isfinite(b)
            ]
    kind = _select("kind", _values(rows, "format"), _text(language, "number format", "数值格式"), "float32")
    span = alt.param(
        name="span", value=20, bind=alt.binding_range(min=4, max=100, step=4, name=_text(language, "range of x ", "x 的范围 "))
    )
    chart = alt.Chart(_data(rows, 3)).transform_filter("datum.format == kind && abs(datum.x) <= span").mark_line()
    chart = chart.encode(
        x=alt.X("x:Q"),
        y=alt.Y("log:Q", title=_text(language, "log10 of the value; nothing where it is zero", "数值的 log10；为零处无曲线")),
        color=alt.Color("curve:N", title=None, scale=alt.Scale(range=COLORS), legend=alt.Legend(orient="top")),
    )
    return chart.add_params(kind, span).properties(width=WIDTH, height=HEIGHT)


def batch_norm_gain(results: Mapping[str, Results], language: str) -> alt.Chart:
    """Gain of the squared gradient a layer behind batch normalisation, over batch or width, against the limit."""
    arrays = results["normalization"].claims["normalization.gradients"].evidence.arrays
    names = {
        "batch": _text(language, "ReLU, over batch", "ReLU，随批量"),
        "width": _text(language, "ReLU, over width", "ReLU，随宽度"),
        "linear-batch": _text(language, "linear, over batch", "线性，随批量"),
    }
    rows = []
    for name, label in names.items():
        predicted = arrays["linear-predicted"] if name == "linear-batch" else np.full(len(arrays["sizes"]), arrays["limit"])
        for i, size in enumerate(arrays["sizes"]):
            point = {part: float(arrays[f"{name}-{part}"][i]) for part in ("mean", "low", "high")}
            rows.append({"sweep": label, "size": int(size), **point, "predicted": float(predicted[i])})
    sweep = _select("sweep", list(names.values()), _text(language, "sweep", "扫描"))
    x = alt.X("size:Q", title=_text(language, "batch or width", "批量或宽度"), scale=alt.Scale(type="log", base=2))
    title = _text(language, "gain a layer", "每层增益")
    chart = _measured_against_predicted(rows, x, title, alt.Color("sweep:N", legend=None, scale=alt.Scale(range=COLORS)))
    chart = chart.transform_filter("datum.sweep == sweep").add_params(sweep)
    return chart.resolve_scale(y="shared").properties(width=WIDTH, height=HEIGHT)


def shift_accuracy(results: Mapping[str, Results], language: str) -> alt.Chart:
    """Test accuracy of networks trained on centred digits, by the shift of the tested ones."""
    arrays = results["invariance"].claims["invariance.generalises"].evidence.arrays
    labels = {
        "global": _text(language, "CNN, global mean", "CNN，全局平均"),
        "flatten": _text(language, "CNN, flattened", "CNN，展平"),
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
        name=_text(language, "shift down ", "向下平移 "),
    )
    down = alt.param(name="down", value=0, bind=bind)
    base = alt.Chart(_data(rows)).encode(
        x=alt.X("right:O", title=_text(language, "shift to the right, pixels", "向右平移（像素）")),
        color=alt.Color("network:N", title=None, scale=alt.Scale(range=COLORS), legend=alt.Legend(orient="top", columns=2)),
    )
    title = _text(language, "test accuracy", "测试准确率")
    line = base.mark_line(point=True).encode(y=alt.Y("mean:Q", title=title, scale=alt.Scale(domain=[0, 1])))
    bars = base.mark_rule().encode(y=alt.Y("low:Q", title=title), y2="high:Q")
    chart = (line + bars).transform_filter("datum.down == down").add_params(down)
    return chart.properties(width=WIDTH, height=HEIGHT)


def analogy(results: Mapping[str, Results], language: str) -> alt.Chart:
    """The words nearest to b − a + c, with the question's own words counted or not."""
    arrays = results["embedding"].claims["embedding.analogy"].evidence.arrays
    kinds = {
        "own": _text(language, "in the question", "题中词"),
        "answer": _text(language, "the answer", "答案"),
        "other": _text(language, "another word", "其他词"),
    }
    rows = []
    for (a, b, c, answer), words, cosines in zip(arrays["examples"], arrays["neighbours"], arrays["cosines"], strict=True):
        for word, cosine in zip(words, cosines, strict=True):
            kind = "own" if word in (a, b, c) else "answer" if word == answer else "other"
            rows.append({"question": f"{b} − {a} + {c}", "word": str(word), "cosine": float(cosine), "kind": kinds[kind]})
    question = _select("question", _values(rows, "question"), _text(language, "question", "问题"))
    barred = alt.param(
        name="barred", value=False, bind=alt.binding_checkbox(name=_text(language, "bar its own words ", "排除题中词 "))
    )
    chart = alt.Chart(_data(rows)).transform_filter("datum.question == question")
    chart = chart.transform_filter(f"!barred || datum.kind != '{kinds['own']}'").mark_bar()
    chart = chart.encode(
        x=alt.X("cosine:Q", title=_text(language, "cosine", "余弦"), scale=alt.Scale(domain=[0, 1])),
        y=alt.Y("word:N", title=None, sort="-x"),
        color=alt.Color(
            "kind:N",
            title=None,
            scale=alt.Scale(domain=list(kinds.values()), range=COLORS[:3]),
            legend=alt.Legend(orient="top"),
        ),
    )
    return chart.add_params(question, barred).properties(width=WIDTH - 40, height=HEIGHT)


class Interactive(NamedTuple):
    """An interactive figure: the topic whose results it is made of, its title by language, and what makes the chart."""

    topic: str
    title: Mapping[str, str]
    draw: Callable[[Mapping[str, Results], str], alt.TopLevelMixin]


CHARTS: Mapping[str, Interactive] = {
    "gradient-depth": Interactive(
        "remedies", {"en": "Turn the knobs: the gradient over depth", "zh": "动手调：梯度随深度的变化"}, gradient_depth
    ),
    "phase-diagram": Interactive(
        "remedies", {"en": "Drag the point through the phase diagram", "zh": "在相图中拖动圆点"}, phase_diagram
    ),
    "residual-gain": Interactive(
        "residual", {"en": "Choose a depth: with and without the shortcut", "zh": "选择深度：有捷径与无捷径"}, residual_gain
    ),
    "sigmoid-formats": Interactive(
        "saturation", {"en": "The sigmoid in four number formats", "zh": "四种数值格式中的 sigmoid"}, sigmoid_formats
    ),
    "bn-gain": Interactive("normalization", {"en": "How the gain converges", "zh": "增益如何收敛"}, batch_norm_gain),
    "shift-accuracy": Interactive("invariance", {"en": "Shift the digits", "zh": "平移数字"}, shift_accuracy),
    "analogy": Interactive("embedding", {"en": "Ask for an analogy", "zh": "问一个类比"}, analogy),
}
