"""The study's layout: commands → questions → study → library, and each question is a folder of one plan."""

import ast
from pathlib import Path

from experiments.study import topics

EXPERIMENTS = Path(__file__).resolve().parents[3] / "experiments"
COMMANDS = ("reproduce", "diagnose", "benchmark", "stability", "compare")
PLAN = ("__init__.py", "__main__.py", "settings.py", "claims.toml", "measurement.py", "figures.py")
FILES = sorted(EXPERIMENTS.rglob("*.py"))


def room(path: Path) -> str:
    """The folder of a file in experiments/, or the command that it is."""
    return path.relative_to(EXPERIMENTS).parts[0].removesuffix(".py")


def rooms_entered(path: Path) -> set[str]:
    """The other rooms of the study that a file imports."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {name.split(".")[1] for name in names if name.startswith("experiments.")} - {room(path)}


def test_every_room_enters_only_what_lies_below_it():
    below = dict.fromkeys(topics.TOPICS, {"study"}) | {"study": set(), "diagnosis": {"study"}, "writeup": {"study"}}
    below |= dict.fromkeys(COMMANDS, {"study", "writeup", "diagnosis"})
    wrong = {str(path): found for path in FILES if (found := rooms_entered(path) - below.get(room(path), set()))}
    assert not wrong


def test_the_rooms_are_the_questions_and_what_they_share():
    rooms = {room(path) for path in FILES} - {"__init__"}
    assert rooms <= {*topics.TOPICS, *COMMANDS, "study", "writeup", "diagnosis"}


def test_every_question_has_the_same_plan():
    missing = [f"{topic}/{name}" for topic in topics.TOPICS for name in PLAN if not (EXPERIMENTS / topic / name).is_file()]
    assert not missing


def test_every_settings_parameter_has_its_type():
    untyped = []
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef):
                arguments = [*node.args.args, *node.args.kwonlyargs]
                untyped += [f"{path.name}: {node.name}" for a in arguments if a.arg == "settings" and a.annotation is None]
    assert not untyped


def test_plots_are_made_in_figures_and_charts_alone():
    drawing = {"matplotlib", "altair"}
    allowed = ("figures.py", "charts.py")
    wrong = []
    for path in FILES:
        tree = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        names = {n.module.partition(".")[0] for n in tree if isinstance(n, ast.ImportFrom) and n.module}
        if names & drawing and path.name not in allowed and not {"figures", "writeup"} & set(path.parts):
            wrong.append(str(path))
    assert not wrong
