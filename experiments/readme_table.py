"""Writes the table of all claims and verdicts into README.md, from the results of a run at scale paper."""

from pathlib import Path

from absl import flags

from experiments import files, results, rules, script, topics
from experiments.formatting import format_measurement
from experiments.settings import SettingsError

README = Path(__file__).resolve().parent.parent / "README.md"
START, END = "<!-- verdicts", "<!-- /verdicts -->"


def table(out_dir: Path) -> str:
    """The claims of every topic with results, in the notes' order, as a Markdown table."""
    claims = rules.load_claims()
    lines = ["| claim | verdict | measured [95% interval] |", "| --- | --- | --- |"]
    for topic in topics.TOPICS:
        measured = results.load(out_dir, topic)
        if measured is None:
            raise SettingsError(f"{out_dir} has no results of {topic}; run make figures first")
        for identifier, evidence in measured.claims.items():
            judged = rules.judge(claims[identifier], evidence.measurements)
            shown = evidence.measurements[0]
            number = f"{shown.name}: {format_measurement(shown)} {shown.unit}".strip()
            lines.append(f"| `{identifier}` {claims[identifier].statement['en']} | {judged.verdict} | {number} |")
    return "\n".join(lines)


def replaced(text: str, table: str) -> str:
    """The README's text with the table between its two marks."""
    before, _, rest = text.partition(START)
    mark, _, rest = rest.partition("\n")
    _, _, after = rest.partition(END)
    return f"{before}{START}{mark}\n{table}\n{END}{after}"


def main(argv) -> None:
    del argv
    text = README.read_text(encoding="utf-8")
    files.write_text(README, replaced(text, table(Path(flags.FLAGS.out_dir))))


if __name__ == "__main__":
    script.define_common_flags()
    script.start(main, usage=__doc__)
