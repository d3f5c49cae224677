"""Modules that a function applies by itself: where their parameters are in the function's own tree, and so their names."""

from typing import Any

from jaxnotes.probe._parameters import named_parameters

UNKNOWN: tuple[str, ...] = ("",)  # a place that no parameter has


class Owners:
    """A function's parameters, in which those of the modules that it applies are looked up."""

    def __init__(self, parameters: Any):
        self._known = named_parameters(parameters)

    def around(self, held: Any) -> tuple[str, ...]:
        """Returns the path below which a module's parameters lie: by the arrays, or by names and shapes where they are copies.

        `UNKNOWN` where that is no place or, of copies, several.
        """
        inside = named_parameters(held)
        paths = {id(leaf): names for names, leaf in self._known}
        for names, leaf in inside:
            found = paths.get(id(leaf), ())
            if found[len(found) - len(names) :] == names:
                return found[: len(found) - len(names)]
        places = [self._ending(names, leaf.shape) for names, leaf in inside]
        common = set.intersection(*places) if places else set()
        return common.pop() if len(common) == 1 else UNKNOWN

    def _ending(self, names: tuple[str, ...], shape: tuple[int, ...]) -> set[tuple[str, ...]]:
        return {
            known[: len(known) - len(names)]
            for known, leaf in self._known
            if known[len(known) - len(names) :] == names and leaf.shape == shape
        }

    def entry(self, name: str) -> tuple[str, ...]:
        """Returns the path of the one entry with parameters that has a name, or else ends with it; below `UNKNOWN` without."""
        entries = {names[:-1] for names, _ in self._known if len(names) > 1}
        found = {path for path in entries if path[-1] == name} or {path for path in entries if path[-1].endswith(f"/{name}")}
        return found.pop() if len(found) == 1 else (*UNKNOWN, name)


def place(around: tuple[str, ...], path: tuple[str, ...]) -> tuple[str, tuple[str, ...]]:
    """Returns (name, owner) of a layer at a path inside a module whose parameters lie at `around`."""
    return "/".join(name for name in (*around, *path) if name not in ("", "params")), (*around, *path)
