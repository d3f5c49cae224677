"""Writes the table of all claims and verdicts into README.md, from the results of a run at scale paper."""

from pathlib import Path

from absl import flags

from experiments.study import results, script, topics
from experiments.study.settings import SettingsError
from jaxnotes.command import files, start

README = Path(__file__).resolve().parent.parent.parent / "README.md"
START, END = "<!-- verdicts", "<!-- /verdicts -->"


def table(out_dir: Path) -> str:
    """Returns the claims of every topic with results, in the notes' order, as a Markdown table."""
    lines = ["| claim | verdict | decided by [95% interval] |", "| --- | --- | --- |"]
    for topic in topics.TOPICS:
        measured = results.load(out_dir, topic)
        if measured is None:
            raise SettingsError(f"{out_dir} has no results of {topic}; run make figures first")
        if measured.run.scale != "paper":
            raise SettingsError(f"{out_dir} has results of {topic} at scale {measured.run.scale}; README's are of scale paper")
        for name, judged in measured.claims.items():
            said = results.explained(judged).replace("|", r"\|")
            lines.append(f"| `{name}` {judged.claim.statement['en']} | {judged.verdict} | {said} |")
    return "\n".join(lines)


def replaced(text: str, table: str) -> str:
    """Returns the README's text with the table between its two marks."""
    before, _, rest = text.partition(START)
    mark, _, rest = rest.partition("\n")
    _, _, after = rest.partition(END)
    return f"{before}{START}{mark}\n{table}\n{END}{after}"


def main(argv) -> None:
    del argv
    text = README.read_text(encoding="utf-8")
    files.write_text(README, replaced(text, table(Path(flags.FLAGS.out_dir))))


if __name__ == "__main__":
    script.define_out_dir()
    start.start(main, usage=__doc__)
