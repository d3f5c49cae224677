"""Interactive figures of the question `embedding`."""

import altair as alt

from experiments.study.figures.charts import COLORS, HEIGHT, WIDTH, Interactive, distinct, inline_data, select, text
from experiments.study.results import Results


def analogy(results: Results, language: str) -> alt.Chart:
    """The words nearest to b − a + c, with the question's own words counted or not."""
    arrays = results.claims["embedding.analogy"].evidence.arrays
    kinds = {
        "own": text(language, "in the question", "题中词"),
        "answer": text(language, "the answer", "答案"),
        "other": text(language, "another word", "其他词"),
    }
    rows = []
    for (a, b, c, answer), words, cosines in zip(arrays["examples"], arrays["neighbours"], arrays["cosines"], strict=True):
        for word, cosine in zip(words, cosines, strict=True):
            kind = "own" if word in (a, b, c) else "answer" if word == answer else "other"
            rows.append({"question": f"{b} − {a} + {c}", "word": str(word), "cosine": float(cosine), "kind": kinds[kind]})
    question = select("question", distinct(rows, "question"), text(language, "question", "问题"))
    barred = alt.param(
        name="barred", value=False, bind=alt.binding_checkbox(name=text(language, "bar its own words ", "排除题中词 "))
    )
    chart = alt.Chart(inline_data(rows)).transform_filter("datum.question == question")
    chart = chart.transform_filter(f"!barred || datum.kind != '{kinds['own']}'").mark_bar()
    chart = chart.encode(
        x=alt.X("cosine:Q", title=text(language, "cosine", "余弦"), scale=alt.Scale(domain=[0, 1])),
        y=alt.Y("word:N", title=None, sort="-x"),
        color=alt.Color(
            "kind:N",
            title=None,
            scale=alt.Scale(domain=list(kinds.values()), range=COLORS[:3]),
            legend=alt.Legend(orient="top"),
        ),
    )
    return chart.add_params(question, barred).properties(width=WIDTH - 40, height=HEIGHT)


CHARTS = {
    "analogy": Interactive({"en": "Ask for an analogy", "zh": "问一个类比"}, analogy),
}
