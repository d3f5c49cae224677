"""Interview notes on deep learning, put to the test in JAX: layers, models, training, Jacobians and mean-field theory.

`import jaxnotes` alone imports nothing else: `jaxnotes.probe`, say, is imported when it is first asked for.
"""

import importlib
from typing import Any

__all__ = ["datasets", "diagnosis", "jacobians", "layers", "meanfield", "models", "probe", "training"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        return importlib.import_module(f"jaxnotes.{name}")
    if name == "__version__":
        from importlib import metadata  # takes longer than all else here

        return metadata.version("jaxnotes")
    raise AttributeError(f"module 'jaxnotes' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__, "__version__"])
