"""Fingerprints: what a result depends on, so that what is unchanged is not computed again."""

import ast
import functools
import hashlib
import importlib.metadata
import json
import platform
from pathlib import Path
from typing import Any

import jax

from jaxnotes import datasets

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("experiments", "jaxnotes")
_VERSIONED = ("jax", "jaxlib", "numpy", "scipy", "optax")


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that results depend on."""
    absent = dict.fromkeys(datasets.missing_packages(), "not installed")  # a topic then leaves claims out
    return {"python": platform.python_version()} | {name: importlib.metadata.version(name) for name in _VERSIONED} | absent


def device() -> str:
    """The device that computes, for example `cpu` or `NVIDIA H100`."""
    return jax.devices()[0].device_kind


def of_run(module: str, settings: dict[str, Any], seed: int) -> str:
    """Fingerprint of a topic's results: its code and all it imports, settings, seed, versions and device."""
    parts = {"code": of_code(module), "settings": settings, "seed": seed, "versions": versions(), "device": device()}
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()


def of_code(module: str) -> str:
    """Fingerprint of a module's source and of every module of this project that it imports, directly or not."""
    digest = hashlib.sha256()
    for name in sorted(closure(module)):
        digest.update(name.encode())
        digest.update(_source(name).read_bytes())
    return digest.hexdigest()


def closure(module: str) -> set[str]:
    """The module and all modules of this project that it imports at its top level or in its functions.

    What stands under `if __name__ == "__main__"` is left out: it starts a run and does not shape its result.
    """
    seen: set[str] = set()
    waiting = [module]
    while waiting:
        name = waiting.pop()
        if name in seen or (source := _source(name)) is None:
            continue
        seen.add(name)
        waiting += _imports(source.read_bytes())
    return seen


@functools.cache  # topics import much in common
def _imports(source: bytes) -> tuple[str, ...]:
    tree = ast.parse(source)
    tree.body = [node for node in tree.body if not (isinstance(node, ast.If) and "__main__" in ast.unparse(node.test))]
    names = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return tuple(name for name in names if name.partition(".")[0] in PACKAGES)


def _source(module: str) -> Path | None:
    path = ROOT.joinpath(*module.split("."))
    for candidate in (path.with_suffix(".py"), path / "__init__.py"):
        if candidate.is_file():
            return candidate
    return None
