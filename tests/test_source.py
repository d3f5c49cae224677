"""Rules that all of the code keeps."""

import ast
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SHELLS = {"os.system", "os.popen", "subprocess.getoutput", "subprocess.getstatusoutput", "asyncio.create_subprocess_shell"}
UNSAFE = {"eval", "exec", "pickle.load", "pickle.loads", "yaml.load"}


def calls():
    """Yields (place, what is called, the call) of all calls in the project."""
    for path in sorted(path for folder in ("jaxnotes", "experiments", "tests") for path in (ROOT / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                yield f"{path.relative_to(ROOT)}:{node.lineno}", ast.unparse(node.func), node


def test_nothing_is_given_to_a_shell():
    found = []
    for place, name, call in calls():
        shell = [keyword for keyword in call.keywords if keyword.arg == "shell"]
        if name in SHELLS or any(not isinstance(k.value, ast.Constant) or k.value.value for k in shell):
            found.append(place)
    assert not found


def test_no_text_of_a_file_is_run_and_nothing_is_unpickled():
    """Models come from Python files of the user's, which are imported; data is never run."""
    unsafe = [place for place, name, call in calls() if name in UNSAFE and not place.startswith("tests/")]
    pickled = [place for place, _, call in calls() if any(k.arg == "allow_pickle" and k.value.value for k in call.keywords)]
    assert not unsafe and not pickled
