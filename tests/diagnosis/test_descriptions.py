"""What is written of each kind of finding: all of it is there, and each example has its fault and its repair takes it away."""

import ast
import contextlib
import functools
import io
from pathlib import Path

import pytest

from experiments.study import rules
from jaxnotes import diagnosis, probe
from jaxnotes.diagnosis import _description, _thresholds

pytestmark = [pytest.mark.usefixtures("standard_promotion"), pytest.mark.filterwarnings("ignore::DeprecationWarning")]
PACKAGE = Path(diagnosis.__file__).parent


def named_by_checks() -> set[str]:
    """Kinds that some check can find: those that a module makes a Finding of."""
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in PACKAGE.glob("*.py")]
    calls = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Call) and node.args]
    made = [call.args[0] for call in calls if getattr(call.func, "id", "") == "Finding"]
    return {kind.value for kind in made if isinstance(kind, ast.Constant)}


def kinds_found(program: str) -> set[str]:
    """Runs a program and returns the kinds of its findings."""
    scope: dict = {}
    with contextlib.redirect_stdout(io.StringIO()):
        exec(compile(program, "example", "exec"), scope)
    return {found.kind for found in diagnosis.explain(scope["report"])}


@pytest.mark.parametrize("kind", diagnosis.KINDS)
def test_every_kind_is_described(kind):
    described = diagnosis.describe(kind)
    assert described.kind == kind
    assert all(len(text) > 30 for text in (described.what, described.why, described.fix, described.limits))
    assert described.claims or described.sources
    assert set(described.claims) <= set(rules.load_claims())
    for program in (described.example, described.repaired):
        compile(program, kind, "exec")
        assert max(map(len, program.splitlines())) <= 128
    assert described.repair and all(old in described.example for old, _ in described.repair)


def test_every_kind_has_a_check():
    assert {*diagnosis.KINDS} == named_by_checks()


def test_the_files_hold_the_kinds_and_no_other():
    assert set(_description._descriptions()) == set(diagnosis.KINDS)


@pytest.mark.parametrize("kind", diagnosis.KINDS)
def test_an_example_has_its_finding_and_its_repair_has_none(kind, monkeypatch):
    monkeypatch.setattr(probe, "read", functools.partial(probe.read, jacobian=False))  # which no check reads
    described = diagnosis.describe(kind)
    assert kind in kinds_found(described.example)
    assert kinds_found(described.repaired) == set()


def test_an_unknown_kind_is_refused_with_the_near_ones():
    with pytest.raises(ValueError, match=r"^there is no kind of finding 'vanishing'; near it: vanishing-gradient$"):
        diagnosis.describe("vanishing")
    with pytest.raises(ValueError, match="near it: .*dead-units"):
        diagnosis.describe("Dead_Units")
    with pytest.raises(ValueError, match="there are non-finite, vanishing-gradient, "):
        diagnosis.describe("xyzzy")


def test_every_threshold_belongs_to_a_kind():
    found = [name for kind in diagnosis.KINDS for name in diagnosis.describe(kind).thresholds]
    assert sorted(found) == sorted(diagnosis.Thresholds.__dataclass_fields__)
    assert diagnosis.describe("clipping").thresholds == {"clipping_always_factor": 10, "clipping_never_factor": 0.01}
    assert all(f"      {name}: " in diagnosis.Thresholds.__doc__ for name in found), _thresholds.__name__
