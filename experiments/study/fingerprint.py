"""Fingerprints: what a result depends on, so that what is unchanged is not computed again."""

import ast
import dataclasses
import functools
import hashlib
import json
import platform
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

import jax

from experiments.study.settings import Settings
from experiments.study.topic import Topic

ROOT = Path(__file__).resolve().parent.parent.parent
PACKAGES = ("experiments", "jaxnotes")
_VERSIONED = ("jax", "jaxlib", "numpy", "scipy", "optax")


def versions() -> dict[str, str]:
    """Returns the versions of Python and of the packages that all results depend on."""
    return {"python": platform.python_version()} | {name: metadata.version(name) for name in _VERSIONED}


def device() -> str:
    """Returns the device that computes, for example `cpu` or `NVIDIA H100`."""
    return jax.devices()[0].device_kind


def of_run(topic: Topic, settings: Settings, seed: int) -> str:
    """Returns the fingerprint of a topic's results: its code and all it imports, settings, seed, versions and device."""
    parts = {
        "code": of_code(f"experiments.{topic.name}.measurement"),
        "settings": dataclasses.asdict(settings),
        "seed": seed,
        "versions": versions() | topic.optional_versions(),
        "device": device(),
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()


def of_code(module: str, packages: Sequence[str] = PACKAGES) -> str:
    """Returns the fingerprint of a module and of every module of these packages that it imports, directly or not.

    It is of the parsed code without its docstrings, so that comments, formatting and prose change nothing.
    """
    digest = hashlib.sha256()
    for name in sorted(name for name in closure(module) if name.partition(".")[0] in packages):
        digest.update(f"{name}\n{_parsed(_source(name).read_bytes()).code}\n".encode())
    return digest.hexdigest()


def closure(module: str) -> set[str]:
    """Returns the module and all modules of this project that it imports, at its top level or in its functions."""
    seen: set[str] = set()
    waiting = [module]
    while waiting:
        name = waiting.pop()
        if name in seen or (source := _source(name)) is None:
            continue
        seen.add(name)
        waiting += _parsed(source.read_bytes()).imports
    return seen


class _Parsed(NamedTuple):
    code: str
    imports: tuple[str, ...]


@functools.cache  # topics import much in common
def _parsed(source: bytes) -> _Parsed:
    tree = ast.parse(source)
    names = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)) and ast.get_docstring(node, clean=False) is not None:
            node.body = node.body[1:] or [ast.Pass()]
    return _Parsed(ast.unparse(tree), tuple(name for name in names if name.partition(".")[0] in PACKAGES))


def _source(module: str) -> Path | None:
    path = ROOT.joinpath(*module.split("."))
    for candidate in (path.with_suffix(".py"), path / "__init__.py"):
        if candidate.is_file():
            return candidate
    return None
