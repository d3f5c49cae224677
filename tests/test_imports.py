"""The layout: imports point one way, optional packages stay inside their adapters, no file outgrows its concept."""

import ast
import subprocess
import sys
import textwrap
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LIBRARY = sorted((ROOT / "jaxnotes").rglob("*.py"))
EVERYTHING = LIBRARY + sorted(p for folder in ("experiments", "tests") for p in (ROOT / folder).rglob("*.py"))

# What the modules of each concept may import of the library beside their own.
ALLOWED = {
    "layers": {"_checks"},
    "models": {"layers", "_checks"},
    "training": {"_checks"},
    "jacobians": set(),
    "meanfield": set(),
    "datasets": {"_checks"},
    "probe": {"layers", "training"},
    "diagnosis": {"probe", "meanfield"},
    "command": {"diagnosis", "probe", "datasets"},
    "pytest_plugin": {"diagnosis"},
}
SHOWING = {"absl", "jinja2", "matplotlib", "rich"}  # flags, a terminal, pages and figures
FRAMEWORKS = {"flax", "equinox", "haiku", "keras"}


def imported(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} uses a relative import"
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def packages(path: Path) -> set[str]:
    """The top-level packages that a file imports."""
    return {name.partition(".")[0] for name in imported(path)}


def concept(path: Path) -> str:
    """`layers`, `models`, `jacobians` … of a library module; "" of the package itself."""
    first = path.relative_to(ROOT / "jaxnotes").parts[0].removesuffix(".py")
    return "" if first == "__init__" else first


def test_imports_point_one_way():
    wrong = {}
    for path in LIBRARY:
        ours = {name.split(".")[1] for name in imported(path) if name.startswith("jaxnotes.")}
        own = concept(path)
        found = ours - ALLOWED.get(own, set()) - {own}
        if found or "experiments" in packages(path):
            wrong[str(path)] = found
    assert not wrong


def test_the_probe_takes_of_training_its_loss_alone():
    taken = {name for path in LIBRARY if concept(path) == "probe" for name in imported(path) if "jaxnotes.training" in name}
    assert taken == {"jaxnotes.training", "jaxnotes.training.cross_entropy"}


def test_optional_packages_stay_in_their_places():
    adapters = {"_linen.py", "_nnx.py", "_equinox.py", "_haiku.py", "_keras.py"}
    wrong = [str(p) for p in LIBRARY if packages(p) & FRAMEWORKS and not (concept(p) == "probe" and p.name in adapters)]
    wrong += [str(p) for p in LIBRARY if packages(p) & SHOWING and concept(p) != "command"]
    assert not wrong


def test_behind_a_public_door_every_module_is_private():
    doors = ("jacobians", "meanfield", "probe", "diagnosis")
    assert not [str(p) for p in LIBRARY if concept(p) in doors and p.name != "__init__.py" and not p.name.startswith("_")]


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


def test_a_file_holds_one_concept():
    long = [str(p) for p in EVERYTHING if len(p.read_text(encoding="utf-8").splitlines()) > 400]
    nameless = [str(p) for p in EVERYTHING if not ast.get_docstring(ast.parse(p.read_text(encoding="utf-8")))]
    assert not long and not nameless, "a module is at most 400 lines and says what it holds"
