"""Figures of the topic `embedding`."""

import numpy as np

from experiments.study.figures.style import COLORS, MARKERS, curve, legend_below, new_figure, rows, settings_note, theory
from experiments.study.measurement import Evidence

# Not imported from the topic: a figure is a function of results alone.

_ARMS = {"glove": "GloVe", "random": "random table"}


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
    """Cosine of similar minus random pairs on the way of training, and on shuffled text."""
    figure, axes = new_figure(height=2.4)
    for series, (name, label) in enumerate((("trained", "text"), ("shuffled", "same words, shuffled"))):
        curve(axes, evidence, f"gap-{name}", evidence.arrays["steps"], series=series, label=label, ls="-")
    axes.axhline(0, color="#888888", lw=0.6)
    axes.set(xlabel="step", ylabel="cosine, similar − random pairs")
    settings_note(axes, f"skip-gram on Wikipedia articles; similar by wordsim353; n = {evidence['gap-trained'].n} seeds")
    axes.legend(loc="upper left")
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
    settings_note(axes, f"which of 10 articles 20 words are from; n = {evidence['gain-tiny'].n}, tuned rates; dotted: chance")
    axes.legend(loc="upper left")
    return figure


def uses(evidence: Evidence):
    """A word, a sentence, an item and a node; and the club's members in the plane of their embedding."""
    figure, (left, right) = new_figure(2, height=2.7)
    names = {
        "word-correlation": "words, GloVe",
        "word-correlation-random": "words, random",
        "sentence-correlation": "texts, GloVe",
        "sentence-correlation-random": "texts, random",
        "item-auc": "items, learned (AUC)",
        "item-auc-popularity": "items, popularity (AUC)",
        "node-accuracy": "nodes (accuracy)",
    }
    rows(left, [evidence[name] for name in names], list(names.values()))
    left.axvline(0, color="#888888", lw=0.6, ls=":")
    left.set(xlabel="correlation with people, AUC, or accuracy", xlim=(-0.2, 1))
    settings_note(left, f"learned ones: n = {evidence['item-auc'].n} seeds")
    plane, sides, friends = (evidence.arrays[name] for name in ("plane", "sides", "friends"))
    for i, j in zip(*np.nonzero(np.triu(friends)), strict=True):
        right.plot(plane[[i, j], 0], plane[[i, j], 1], "-", color="#cccccc", lw=0.4, zorder=0)
    for side, label in enumerate(("instructor's side", "officers' side")):
        own = plane[sides == side]
        right.plot(own[:, 0], own[:, 1], MARKERS[side], color=COLORS[side], mfc="white", label=label)
    right.set(xticks=[], yticks=[], xlabel="first principal direction", ylabel="second")
    settings_note(right, "karate club, learned from friendships alone")
    legend_below(right)
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
}
