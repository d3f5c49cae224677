"""Names that a user gives: those that are none are refused with the ones that were meant."""

import difflib
from collections.abc import Iterable, Sequence


def known(what: str, names: Iterable[str], choices: Sequence[str]) -> tuple[str, ...]:
    """Returns the names, each one of the choices.

    Args:
      what: what the names are of, in the singular.
      names: as the user gave them.
      choices: all there are.

    Raises:
      ValueError: one is not; the message is one line with the choices near it, or with all of them where none is.
    """
    names = tuple(names)
    for name in names:
        if name not in choices:
            near = _near(str(name), choices)
            instead = f"near it: {near}" if near else f"there are {', '.join(choices)}"
            raise ValueError(f"there is no {what} {name!r}; {instead}")
    return names


def _near(name: str, choices: Sequence[str]) -> str:
    """Choices that are spelled alike or hold a word of the name, the nearest first."""
    alike = difflib.get_close_matches(name.lower().replace(" ", "-"), choices, n=3, cutoff=0.6)
    words = {word for word in name.lower().replace("_", "-").split("-") if len(word) > 3}
    sharing = [choice for choice in choices if words & set(choice.replace("_", "-").split("-"))]
    return ", ".join(list(dict.fromkeys([*alike, *sharing]))[:4])
