"""What the library knows of a kind of finding, for the terminal."""

from rich.console import Console
from rich.syntax import Syntax
from rich.text import Text

from jaxnotes.diagnosis import Description


def show(console: Console, described: Description) -> None:
    """Prints what a kind is, its example and repair, why, what to do and what is not seen."""
    console.print(Text(described.kind, style="bold"))
    console.print(Text(described.what))
    _head(console, "Example")
    # Long lines are left to the terminal to wrap, so that what is copied runs.
    console.print(Syntax("", "python", background_color="default").highlight(described.example), soft_wrap=True)
    _head(console, "Repaired by")
    for old, new in described.repair:
        console.print(Text(f"- {old.strip()}\n+ {new.strip() or '(nothing)'}"), soft_wrap=True)
    for title, text in (("Why", described.why), ("What to do", described.fix), ("Not seen", described.limits)):
        _head(console, title)
        console.print(Text(text))
    if described.thresholds:
        _head(console, "Thresholds, for --threshold NAME=VALUE or [tool.jaxnotes.thresholds]")
        for name, value in described.thresholds.items():
            console.print(Text(f"  {name} = {value:g}"))
    _head(console, "Behind it")
    console.print(Text("\n".join(filter(None, (", ".join(described.claims), described.sources)))))


def _head(console: Console, title: str) -> None:
    console.print(Text(f"\n{title}", style="bold"))
