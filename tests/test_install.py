"""The wheel, installed with its core dependencies alone, as `pip install jaxnotes` does."""

import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
import tarfile
import textwrap
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parent.parent
CORE = ("jax", "jaxtyping", "numpy", "optax", "scipy")
EXTRAS = ("rich", "jinja2", "matplotlib", "flax", "equinox", "haiku", "keras", "mnist1d", "gensim", "pyarrow")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Built by the build backend of this environment, without the network."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (found,) = folder.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def site(tmp_path_factory, wheel):
    """A folder of installed packages: the wheel, its core dependencies and theirs, and nothing else."""
    folder = tmp_path_factory.mktemp("site")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    for distribution in dependencies(CORE):
        for top in tops(distribution):
            target = folder / top.name
            if not target.exists():
                target.symlink_to(top)
    return folder


def dependencies(names) -> list[importlib.metadata.Distribution]:
    """The distributions of these names and of all that they need here."""
    found, waiting = {}, list(names)
    while waiting:
        name = re.sub(r"[-_.]+", "-", waiting.pop()).lower()
        if name not in found:
            found[name] = importlib.metadata.distribution(name)
            needed = [Requirement(text) for text in found[name].requires or ()]
            waiting += [r.name for r in needed if r.marker is None or r.marker.evaluate({"extra": ""})]
    return list(found.values())


def tops(distribution) -> set[Path]:
    """The files and folders of a distribution that lie in the folder of packages itself."""
    parts = {file.parts[0] for file in distribution.files or ()} - {"..", "__pycache__"}
    return {Path(str(distribution.locate_file(part))) for part in parts}


def run(site, script, folder):
    """A script as a user runs it in a folder of theirs, with no packages but those of `site`."""
    environment = {**os.environ, "PYTHONPATH": f"{folder}{os.pathsep}{site}"}
    command = [sys.executable, "-S", "-c", textwrap.dedent(script)]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)


def test_packages_are_the_same_byte_for_byte_wherever_and_whenever_they_are_built(tmp_path, wheel):
    """Also the wheel that is built from the sdist, as pip does where there is no wheel."""
    passed_over = shutil.ignore_patterns(".git", ".venv", "out", ".*_cache", "__pycache__")
    builds = []
    for name, umask in (("one", 0o022), ("another/place", 0o077)):
        shutil.copytree(ROOT, tmp_path / name, ignore=passed_over, copy_function=shutil.copyfile)  # with other times of change
        build = [sys.executable, "-m", "hatchling", "build", "--directory", str(tmp_path / name / "dist")]
        subprocess.run(build, cwd=tmp_path / name, check=True, capture_output=True, umask=umask)
        builds.append({file.name: file.read_bytes() for file in (tmp_path / name / "dist").iterdir()})
    assert builds[0] == builds[1] and len(builds[0]) == 2
    assert builds[0][wheel.name] == wheel.read_bytes()
    (source,) = (tmp_path / "one" / "dist").glob("*.tar.gz")
    with tarfile.open(source) as archive:
        archive.extractall(tmp_path / "sdist", filter="data")
    (unpacked,) = (tmp_path / "sdist").iterdir()
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(tmp_path / "again")]
    subprocess.run(build, cwd=unpacked, check=True, capture_output=True)
    assert (tmp_path / "again" / wheel.name).read_bytes() == wheel.read_bytes()


def test_the_wheel_holds_the_library_alone(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        metadata = archive.read(next(name for name in names if name.endswith("METADATA"))).decode()
    version = importlib.metadata.version("jaxnotes")
    assert {name.partition("/")[0] for name in names} == {"jaxnotes", f"jaxnotes-{version}.dist-info"}
    assert {"jaxnotes/py.typed", "jaxnotes/command/report.html", "jaxnotes/data/mnist_first10k.npz"} <= set(names)
    needed = [Requirement(text) for text in re.findall(r"^Requires-Dist: (.*)$", metadata, re.MULTILINE)]
    assert sorted(r.name for r in needed if r.marker is None) == sorted(CORE)
    extras = set(re.findall(r"^Provides-Extra: (.*)$", metadata, re.MULTILINE))
    assert {"diagnose", "study", "glove", "site", "test", "equinox", "haiku", "keras"} == extras
    assert "Author: The jaxnotes authors" in metadata and "Project-URL: Repository" in metadata


def test_every_public_name_can_be_had_without_the_extras(site, tmp_path):
    done = run(
        site,
        f"""
        import importlib, pkgutil, sys
        import jaxnotes
        assert not [name for name in {EXTRAS} if importlib.util.find_spec(name)]
        for package in jaxnotes.__all__:
            module = getattr(jaxnotes, package)
            for name in getattr(module, "__all__", ()):
                assert getattr(module, name) is not None
            for found in pkgutil.iter_modules(getattr(module, "__path__", ())):
                if not found.name.startswith("_"):
                    importlib.import_module(f"jaxnotes.{{package}}.{{found.name}}")
        assert jaxnotes.__file__.startswith({str(site)!r}) and jaxnotes.__version__
        print(jaxnotes.datasets.mnist().train_images.shape)
        """,
        tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "(8000, 28, 28)"


def test_readme_examples_of_the_library_run(site, tmp_path):
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    examples = re.findall(r"```python\n(.*?)```", readme, re.DOTALL)
    plain = [example for example in examples if not re.search(r"\b(flax|equinox|haiku|keras|nn)\b", example)]
    assert len(plain) >= 3
    for example in plain:
        done = run(site, example, tmp_path)
        assert done.returncode == 0, done.stderr


def test_a_folder_experiments_of_the_users_is_theirs(site, tmp_path):
    (tmp_path / "experiments").mkdir()
    (tmp_path / "experiments" / "mine.py").write_text("WIDTH = 3\n")
    done = run(site, "import jaxnotes\nfrom experiments import mine\nprint(mine.WIDTH)", tmp_path)
    assert done.stdout.strip() == "3", done.stderr


def test_the_command_says_in_one_line_what_it_misses(wheel, site, tmp_path):
    with zipfile.ZipFile(wheel) as archive:
        scripts = archive.read(next(name for name in archive.namelist() if name.endswith("entry_points.txt"))).decode()
    module, name = re.search(r"^jaxnotes-diagnose = ([\w.]+):(\w+)$", scripts, re.MULTILINE).groups()
    done = run(site, f"from {module} import {name}; {name}()", tmp_path)
    assert done.returncode == 2 and done.stdout == ""
    # optax brings absl-py, as long as it needs it itself.
    line = r"jaxnotes-diagnose needs (absl-py, )?jinja2, matplotlib, rich; run: pip install 'jaxnotes\[diagnose\]'\n"
    assert re.fullmatch(line, done.stderr)
