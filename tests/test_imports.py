"""The layout: imports point one way, optional packages stay inside their adapters, no file outgrows its concept."""

import ast
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
MODULES = sorted(p for package in ("jaxnotes", "experiments") for p in (ROOT / package).rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))
LEAVES = ("jacobians", "meanfield", "training", "datasets", "probe")  # import neither models nor each other


def imported(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} uses a relative import"
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def concept(path: Path) -> str:
    """`layers`, `models`, `jacobians` … of a library module."""
    return path.relative_to(ROOT / "jaxnotes").parts[0].removesuffix(".py")


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_point_one_way(path):
    names = imported(path)
    if path.is_relative_to(ROOT / "experiments"):
        return
    assert not any(name.startswith(("experiments", "absl", "matplotlib", "rich", "jinja2")) for name in names)
    ours = {name.split(".")[1] for name in names if name.startswith("jaxnotes.")}
    allowed = {
        "layers": {"layers"},
        "models": {"models", "layers"},
        "diagnosis": {"diagnosis", "probe", "meanfield"},
    } | {leaf: {leaf} for leaf in LEAVES}
    allowed["probe"] = {"probe", "layers"}
    assert ours <= allowed.get(concept(path), set()), f"{path.name} imports {ours}"


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_frameworks_and_plotting_stay_in_their_places(path):
    tops = {name.partition(".")[0] for name in imported(path)}
    if "probe" not in path.parts and path.name != "diagnosis_zoo.py":  # models of users, to judge the diagnosis by
        assert not tops & {"flax", "equinox"}
    if "figures" not in path.parts:
        assert "matplotlib" not in tops


def test_the_package_itself_imports_its_parts_when_asked():
    """In a process of its own, as this one has imported all."""
    script = """
        import sys, jaxnotes
        assert not {"importlib.metadata", "jax", "numpy", "optax"} & set(sys.modules)
        assert {"probe", "meanfield", "__version__"} <= set(dir(jaxnotes))
        assert jaxnotes.probe.read and jaxnotes.diagnosis.explain and jaxnotes.__version__[0].isdigit()
        assert not hasattr(jaxnotes, "prob")
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(script)], check=True, cwd=ROOT)


@pytest.mark.parametrize("path", MODULES + TESTS, ids=lambda p: str(p.relative_to(ROOT)))
def test_a_file_holds_one_concept(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 400
    assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))), "the module says what it holds"
