"""Figures of the topic `embedding`."""

import numpy as np

from experiments.study.figures.style import COLORS, MARKERS, curve, legend_below, new_figure, rows, settings_note, theory
from experiments.study.measurement import Evidence

# Not imported from the topic: a figure is a function of results alone.

_ARMS = {"minilm": "MiniLM, fixed", "glove": "GloVe's table", "random": "random table"}
_TABLES = {"pretrained": "GloVe's table", "one-hot": "one-hot codes", "scratch": "random table"}


def dense(evidence: Evidence):
    """Distribution of the table's entries: no pile at 0."""
    figure, axes = new_figure(height=2.3)
    edges = evidence.arrays["edges"]
    axes.stairs(evidence.arrays["density"], edges, color=COLORS[0], label="GloVe 6B")
    theory(axes, edges, np.exp(-(edges**2) / 2) / np.sqrt(2 * np.pi), series=6, lw=0.7, label="standard normal")
    words, width = evidence.arrays["shape"]
    axes.set(xlabel="entry of the table", ylabel="density")
    settings_note(axes, f"{words} words × {width} columns; not 0: {evidence['nonzero-share'].value:.4f} of them")
    axes.legend(loc="upper right")
    return figure


def one_hot(evidence: Evidence):
    """Squared distances of all pairs of symbols: one value for one-hot codes, a spread for dense rows."""
    figure, axes = new_figure(height=2.3)
    edges = evidence.arrays["edges"]
    for series, (name, label) in enumerate((("one-hot", "one-hot codes"), ("dense", "dense rows, random"))):
        axes.stairs(evidence.arrays[name], edges, color=COLORS[series], fill=series == 1, alpha=0.7, label=label)
    axes.set(xlabel="squared distance of two symbols", ylabel="share of pairs", yscale="log")
    settings_note(axes, f"{evidence['dimension'].value:.0f} symbols: all pairs of codes at 2")
    axes.legend(loc="upper right")
    return figure


def lookup(evidence: Evidence):
    """The gradient of the table: only rows of symbols that are in the batch."""
    figure, axes = new_figure(height=2.6)
    picture = np.ma.masked_less(evidence.arrays["gradient"], -100)
    axes.set_facecolor("#dddddd")
    image = axes.imshow(picture.T, cmap="viridis", aspect="auto", interpolation="nearest")
    axes.set(xlabel="row of the table, a symbol", ylabel="column")
    settings_note(axes, f"one batch; grey: exactly 0; {evidence['parameters'].value:.0f} parameters")
    figure.colorbar(image, ax=axes, label=r"log$_{10}$ |gradient|")
    return figure


def cost(evidence: Evidence):
    """Operations, bytes and time over the vocabulary."""
    figure, panels = new_figure(3, height=2.4)
    sizes = evidence.arrays["vocabularies"]
    labels = ("operations", "bytes, without the table", "seconds")
    for index, (axes, label) in enumerate(zip(panels, labels, strict=True)):
        for series, (name, text) in enumerate((("lookup", "look-up"), ("one-hot", "one-hot"))):
            values = evidence.arrays[name][:, index]
            axes.plot(sizes, values, MARKERS[series], color=COLORS[series], mfc="white", label=text)
            if index < 2:
                growth = sizes / sizes[-1] if name == "one-hot" else np.ones(len(sizes))
                theory(axes, sizes, values[-1] * growth, series=series)
        axes.set(xscale="log", yscale="log", xlabel="vocabulary V", ylabel=label)
        axes.set_xticks(sizes, [str(n) for n in sizes])
        axes.set_xticks([], minor=True)
    settings_note(panels[0], "compiled program; line: ∝ V, constant", 36)
    settings_note(panels[2], "least time", 36)
    panels[0].legend(loc="center left")
    return figure


def learned(evidence: Evidence):
    """Cosine of similar minus random pairs on the way of training, and each rated pair's cosine at its end."""
    figure, (left, right) = new_figure(2, height=2.5)
    for series, (name, label) in enumerate((("trained", "text"), ("shuffled", "same words, shuffled"))):
        curve(left, evidence, f"gap-{name}", evidence.arrays["steps"], series=series, label=label, ls="-")
    left.axhline(0, color="#888888", lw=0.6)
    left.set(xlabel="step", ylabel="cosine, similar − random pairs")
    settings_note(left, "skip-gram on Wikipedia articles, tuned rates; bars: over seeds", 48)
    left.legend(loc="upper left")
    right.plot(evidence.arrays["ratings"], evidence.arrays["cosines"], MARKERS[0], color=COLORS[0], mfc="none", ms=2.5)
    right.set(xlabel="people's rating", ylabel="cosine after training")
    found = evidence["rank-correlation-trained"]
    settings_note(right, f"{found.n} pairs of wordsim353, mean over seeds; rank correlation {found.value:.2f}", 48)
    return figure


def analogy(evidence: Evidence):
    """Accuracy by category of question, with the three words allowed, barred, and without the offset."""
    figure, axes = new_figure(width=7.0, height=2.9)
    categories, values = evidence.arrays["categories"], evidence.arrays["accuracies"]
    x = np.arange(len(categories))
    for series, label in enumerate(("three words allowed", "barred", "barred, without the offset")):
        axes.plot(x + 0.15 * (series - 1), values[:, series], MARKERS[series], color=COLORS[series], mfc="white", label=label)
    names = [str(c).split("-", 1)[1] if str(c).startswith("gram") else str(c) for c in categories]
    axes.set_xticks(x, names, rotation=35, ha="right", fontsize=6)
    axes.set(ylabel="share answered rightly", ylim=(-0.02, 1))
    total = evidence["accuracy-excluded"]
    settings_note(
        axes, f"GloVe 6B 50d, {total.n} questions: {evidence['accuracy'].value:.3f} allowed, {total.value:.3f} barred", 100
    )
    axes.legend(loc="upper center")
    return figure


def transfer(evidence: Evidence):
    """Test accuracy of a small text task against the number of labelled examples."""
    figure, axes = new_figure(height=2.4)
    for series, (arm, label) in enumerate(_ARMS.items()):
        curve(axes, evidence, f"accuracy-{arm}", evidence.arrays["examples"], series=series, label=label, ls="-")
    axes.axhline(0.1, color="#888888", lw=0.6, ls=":")
    axes.set(xscale="log", xlabel="labelled texts per class", ylabel="test accuracy", ylim=(0, 1))
    axes.set_xticks(evidence.arrays["examples"], [str(n) for n in evidence.arrays["examples"]])
    axes.minorticks_off()
    settings_note(
        axes, f"which of 10 articles 20 words are from; n = {evidence['gain-glove-tiny'].n}, tuned rates; dotted: chance"
    )
    axes.legend(loc="upper left")
    return figure


def uses(evidence: Evidence):
    """Each use beside what the same data give without an embedding; and the club's members by their embedding."""
    figure, (left, right) = new_figure(2, height=2.9)
    with_table = {
        "word-correlation": "words (correlation)",
        "sentence-accuracy-minilm": "sentences (accuracy)",
        "paragraph-correlation-minilm": "paragraphs (correlation)",
        "item-auc": "items (AUC)",
        "node-accuracy": "nodes (accuracy)",
    }
    without = (
        "word-correlation-spelling",
        "sentence-accuracy-words",
        "paragraph-correlation-words",
        "item-auc-neighbours",
        "node-accuracy-rows",
    )
    labels = list(with_table.values())
    rows(left, [evidence[name] for name in with_table], labels, shift=0.12, label="embedding")
    rows(left, [evidence[name] for name in without], labels, series=1, shift=-0.12, label="same data, none")
    left.set(xlabel="correlation with people, accuracy, or AUC", xlim=(-0.2, 1.02))
    settings_note(left, "bars: 95% over what was rated, or over seeds", 48)
    legend_below(left)
    plane, sides, friends = (evidence.arrays[name] for name in ("plane", "sides", "friends"))
    for i, j in zip(*np.nonzero(np.triu(friends)), strict=True):
        right.plot(plane[[i, j], 0], plane[[i, j], 1], "-", color="#cccccc", lw=0.4, zorder=0)
    for side, label in enumerate(("instructor's side", "officers' side")):
        own = plane[sides == side]
        right.plot(own[:, 0], own[:, 1], MARKERS[side], color=COLORS[side], mfc="white", label=label)
    right.set(xticks=[], yticks=[], xlabel="first principal direction", ylabel="second")
    settings_note(right, "karate club, learned from friendships alone", 48)
    legend_below(right)
    return figure


def expressive(evidence: Evidence):
    """What a linear map leaves of random targets, and what a network memorises, over the width of the table."""
    figure, panels = new_figure(2, height=2.4)
    widths = evidence.arrays["widths"]
    notes = {
        "error": ("share of the variance left", "random targets, a linear layer behind; line: best of that rank"),
        "memorised": ("share of pairs memorised", "random labels of pairs of symbols, a hidden layer behind"),
    }
    for axes, (name, (label, note)) in zip(panels, notes.items(), strict=True):
        curve(axes, evidence, name, widths, series=0, label="table", ls="none" if name == "error" else "-")
        codes = evidence.arrays[f"{name}-one-hot-mean"][0]
        axes.axhline(codes, color=COLORS[1], lw=0.9, ls="--", label="one-hot codes")
        axes.set(xscale="log", xlabel="width d of the table", ylabel=label)
        axes.set_xticks(widths, [str(n) for n in widths])
        axes.minorticks_off()
        settings_note(axes, f"{note}; n = {evidence[f'{name}-narrow'].n}", 48)
        axes.legend(loc="best")
    return figure


def generalisation(evidence: Evidence):
    """Accuracy on words that were never labelled, and on words with one label."""
    figure, axes = new_figure(height=2.4)
    groups = {"unseen": "words never labelled", "rare": "words with one label"}
    for series, (arm, label) in enumerate(_TABLES.items()):
        found = [evidence[f"accuracy-{arm}-{group}"] for group in groups]
        rows(axes, found, list(groups.values()), series=series, shift=0.18 * (1 - series), label=label)
    axes.axvline(evidence.arrays["most-common"], color="#888888", lw=0.6, ls=":")
    axes.set(xlabel="accuracy of the word's kind", xlim=(0, 1))
    settings_note(axes, f"some labels are wrong; dotted: always the most common kind; n = {found[0].n}", 44)
    legend_below(axes)
    return figure


FIGURES = {
    "embedding.dense": dense,
    "embedding.one-hot": one_hot,
    "embedding.lookup": lookup,
    "embedding.cost": cost,
    "embedding.learned": learned,
    "embedding.analogy": analogy,
    "embedding.transfer": transfer,
    "embedding.uses": uses,
    "embedding.expressive": expressive,
    "embedding.generalisation": generalisation,
}
