"""The writeup: a site in English and Chinese, built by Sphinx from the sources beside this file and the results."""

import contextlib
import hashlib
import importlib.util
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from importlib import metadata
from pathlib import Path

from experiments.study import children, fingerprint
from jaxnotes import diagnosis
from jaxnotes.command import files

LANGUAGES = ("en", "zh")
HERE = Path(__file__).resolve().parent
PACKAGES = ("sphinx", "myst_nb", "sphinx_book_theme", "sphinxcontrib.bibtex", "altair", "vl_convert", "latex2mathml")
_STAMP = "built"  # holds the fingerprint of what a site was built from; written last


class BuildError(RuntimeError):
    """Sphinx refused a page; the message holds what it said."""


def missing_packages() -> list[str]:
    """Modules that a build needs and that are not installed; the extra `site` has them."""
    return [name for name in PACKAGES if importlib.util.find_spec(name.partition(".")[0]) is None]


def build(out_dir: Path, *, tutorials: bool = True) -> bool:
    """Builds `site/en` and `site/zh` from the results in `out_dir`, unless they are built from just these.

    Args:
      out_dir: has results/ and figures/; receives site/.
      tutorials: whether the tutorials' code is run, so that its output shows; runs are kept in the user's cache folder.

    Returns:
      Whether anything was built.

    Raises:
      BuildError: a page names a number that the results do not have, states one of its own, or is otherwise wrong; the site
        stays as it was.
    """
    out_dir = Path(out_dir).resolve()
    site, wanted = out_dir / "site", _fingerprint(out_dir, tutorials)
    if (site / _STAMP).is_file() and (site / _STAMP).read_text() == wanted:
        return False
    fresh = out_dir / ".site"
    shutil.rmtree(fresh, ignore_errors=True)
    try:
        if tutorials:
            run_tutorials(out_dir)  # before the languages, which would each run them
        with contextlib.ExitStack() as side_by_side:
            start = lambda language: _sphinx(out_dir, fresh / language, language, tutorials)
            builds = [side_by_side.enter_context(start(language)) for language in LANGUAGES]
            script = _vega()
            for finish in builds:
                finish()
        for language in LANGUAGES:
            (fresh / language / "_static" / "vega.js").write_text(script, encoding="utf-8")
        shutil.rmtree(fresh / "jupyter_execute", ignore_errors=True)
        (fresh / _STAMP).write_text(wanted)
        _replace(site, fresh)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return True


def run_tutorials(out_dir: Path) -> None:
    """Runs the tutorials, unless that was done, into the user's cache folder, where `build` finds their output.

    One that fails is left to `build`, which says so.
    """
    if _tutorial_cache(out_dir).is_dir():
        return
    with tempfile.TemporaryDirectory(dir=out_dir, prefix=".tutorials-") as folder:
        staged = Path(folder) / "source"
        shutil.copytree(HERE / "source" / "tutorials", staged)
        # Their links to other pages lead nowhere here.
        (staged / "conf.py").write_text('extensions = ["myst_nb"]\nsuppress_warnings = ["myst.xref_missing"]\n')
        _run_sphinx("dummy", staged, Path(folder) / "built", _execution(out_dir, tutorials=True))


def _replace(site: Path, fresh: Path) -> None:
    """Puts the fresh site in the place of the one there, which is moved away first, since that takes no time."""
    before = site.with_name(".site-before")
    shutil.rmtree(before, ignore_errors=True)
    if site.exists():
        site.rename(before)
    fresh.rename(site)
    shutil.rmtree(before, ignore_errors=True)


def _execution(out_dir: Path, tutorials: bool) -> dict[str, object]:
    mode = "cache" if tutorials else "off"
    return {"nb_execution_mode": mode, "nb_execution_cache_path": _tutorial_cache(out_dir), "nb_execution_timeout": 300}


def extract_messages(target: Path) -> None:
    """Writes what is to be translated, a `.pot` a page, for `sphinx-intl update`."""
    with tempfile.TemporaryDirectory() as folder:
        _stage(Path(folder) / "source")
        _run_sphinx("gettext", Path(folder) / "source", target, {})


def _stage(folder: Path) -> None:
    """Copies the sources, and adds a page for each kind of finding, whose text is the library's."""
    shutil.copytree(HERE / "source", folder)
    for kind in diagnosis.KINDS:
        (folder / "kinds" / f"{kind}.md").write_text(f"# {kind}\n\n:::{{kind}} {kind}\n:::\n", encoding="utf-8")


def _vega() -> str:
    """Vega, Vega-Lite and Vega-Embed as one script, from the package that carries them: no page loads from another host."""
    import vl_convert  # of the extra `site`

    # In a function of its own: its many short names must not become the page's.
    return f"(() => {{{vl_convert.javascript_bundle()}}})();"


@contextlib.contextmanager
def _sphinx(out_dir: Path, target: Path, language: str, tutorials: bool) -> Iterator[Callable[[], None]]:
    """Starts to build one site from a copy of the sources beside which the figures lie; gives a call that waits for it."""
    staged = out_dir / f".sources-{language}"
    shutil.rmtree(staged, ignore_errors=True)
    try:
        _stage(staged)
        shutil.copytree(HERE / "locale", staged / "locale")
        (staged / "figures").mkdir()
        for picture in (out_dir / "figures").glob("*.svg"):
            shutil.copy(picture, staged / "figures")
        options = {
            "language": {"en": "en", "zh": "zh_CN"}[language],
            "jaxnotes_out_dir": out_dir,
            "locale_dirs": "locale",
            **_execution(out_dir, tutorials),
        }
        with _running_sphinx("html", staged, target, options) as finish:
            yield finish
    finally:
        shutil.rmtree(staged, ignore_errors=True)


def _run_sphinx(builder: str, source: Path, target: Path, options: Mapping[str, object]) -> None:
    with _running_sphinx(builder, source, target, options) as finish:
        finish()


@contextlib.contextmanager
def _running_sphinx(builder: str, source: Path, target: Path, options: Mapping[str, object]) -> Iterator[Callable[[], None]]:
    """Runs Sphinx in a process of its own, since it keeps state; gives a call that waits for it. Its warnings are errors."""
    environment = os.environ | {"PYTHONPATH": _import_path()}
    with tempfile.TemporaryDirectory() as doctrees, tempfile.TemporaryFile() as said:
        arguments = ["-b", builder, "-q", "-W", "--keep-going", "-d", doctrees]
        arguments += [*(f"-D{name}={value}" for name, value in options.items()), str(source), str(target)]
        output = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": said}
        with children.running("sphinx", arguments, env=environment, **output) as process:

            def finish() -> None:
                if process.wait():
                    said.seek(0)
                    raise BuildError(f"{target.name} was not built:\n{said.read().decode().strip()[-8000:]}")

            yield finish


def _import_path() -> str:
    return os.pathsep.join([str(fingerprint.ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])


def _tutorial_cache(out_dir: Path) -> Path:
    """Returns a folder of its own for each state of the library, whose change may change what tutorials print.

    It is in the user's cache folder; in `out_dir` where that cannot be written.
    """
    try:
        home = files.cache_folder()
    except OSError:
        home = out_dir / ".cache"
    state = hashlib.sha256(repr(sorted(fingerprint.versions().items())).encode())
    for path in sorted((fingerprint.ROOT / "jaxnotes").rglob("*.py")):
        state.update(path.read_bytes())
    return home / "jaxnotes-tutorials" / state.hexdigest()[:16]


def _fingerprint(out_dir: Path, tutorials: bool) -> str:
    digest = hashlib.sha256(f"{tutorials} {metadata.version('sphinx')} {metadata.version('sphinx-book-theme')}".encode())
    for path in _inputs(out_dir):
        digest.update(f"{path.name} ".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _inputs(out_dir: Path) -> Iterator[Path]:
    """Returns all that a site is made of: sources, translations, code, results, figures and how to cite."""
    folders = (HERE, fingerprint.ROOT / "jaxnotes", fingerprint.ROOT / "experiments", out_dir / "results", out_dir / "figures")
    seen = {path for folder in folders for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts}
    return iter(sorted(seen | {fingerprint.ROOT / "CITATION.cff"}))
