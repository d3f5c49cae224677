"""How a command starts: flags by absl, one clear line and exit status 2 for bad input, compiled programs kept."""

import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

import jax
from absl import app, flags, logging

from jaxnotes.command import files, interruption
from jaxnotes.command.errors import InputError


def start(main: Callable[[Sequence[str]], Any], usage: str, arguments: Sequence[str] = ()) -> None:
    """Runs `main` on the command line's arguments and exits.

    Errors of the user's end it with one line and exit status 2; Ctrl-C, SIGTERM and SIGHUP with one line and 128 plus the
    signal's number.

    Args:
      main: takes the program's name and the arguments that are no flags.
      usage: the text of --help.
      arguments: names of the arguments that are no flags, all of which have to be given.
    """
    # absl takes the help text from the docstring of the main module.
    sys.modules["__main__"].__doc__ = usage
    logging.set_verbosity(logging.WARNING)
    app.run(lambda argv: _guarded(interruption.raised()(main), argv), flags_parser=lambda argv: _parse(argv, arguments))


def use_compilation_cache() -> None:
    """Keeps compiled programs in the user's cache folder, so that a second process starts fast.

    JAX_COMPILATION_CACHE_DIR, where set, names another folder. Where the user's cannot be written, a line says so, once for
    this process and those it starts, and nothing is kept.
    """
    if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
        try:
            os.environ["JAX_COMPILATION_CACHE_DIR"] = str(files.cache_folder() / "jaxnotes")
        except OSError as error:
            os.environ["JAX_COMPILATION_CACHE_DIR"] = ""
            print(f"compiled programs are not kept: {error}", file=sys.stderr)
    jax.config.update("jax_compilation_cache_dir", os.environ["JAX_COMPILATION_CACHE_DIR"] or None)
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)


def _parse(argv: Sequence[str], arguments: Sequence[str]) -> list[str]:
    """Flags and arguments from the command line; a wrong one ends the process with one line and status 2."""
    if {"--help", "-help", "--helpshort", "-h"} & set(argv):
        app.usage(shorthelp=True, writeto_stdout=True, exitcode=0)
    try:
        rest = flags.FLAGS(argv)
    except flags.Error as error:
        _fail(str(error))
    if len(rest) > 1 + len(arguments):
        _fail(f"unexpected argument {rest[1 + len(arguments)]!r}; flags are written --name=value, --help lists them")
    if len(rest) < 1 + len(arguments):
        _fail(f"there is no {arguments[len(rest) - 1]}; give {' '.join(arguments)}, --help says what they are")
    return rest


def _guarded(main: Callable[[Sequence[str]], Any], argv: Sequence[str]) -> Any:
    try:
        return main(argv)
    except (InputError, OSError) as error:
        _fail(str(error))
    except KeyboardInterrupt as stop:
        print(str(stop) or interruption.line(), file=sys.stderr)
        sys.exit(interruption.status(stop))
    except jax.errors.JaxRuntimeError as error:
        if "RESOURCE_EXHAUSTED" not in str(error):
            raise
        _fail(f"out of memory; give smaller numbers to the flags that --help lists ({str(error).splitlines()[0]})")


def program() -> str:
    """Returns the name of the command that runs: of a package's `__main__`, the package's."""
    path = Path(sys.argv[0])
    return path.parent.name if path.stem == "__main__" else path.stem


def _fail(message: str) -> NoReturn:
    print(f"{program()}: {' '.join(message.split())}", file=sys.stderr)
    sys.exit(2)
