"""How the sets agree: seed sets and instruction sets counted apart, the smallest margin of all."""

from experiments.study import agreement, results


def summary(verdicts, **code):
    claims = {name: {"a.b": {"verdict": verdict, "margin": margin}} for name, (verdict, margin) in verdicts.items()}
    return {name: {"a": {"code": code.get(name[-1], "now"), "claims": found}} for name, found in claims.items()}


def test_seed_sets_and_instruction_sets_are_counted_apart():
    sets = {"seed 0": ("holds", 5.0), "seed 1": ("holds", 3.0), "seed 2": ("undecided", 1.0)}
    sets |= {"seed 0, SSE4_2": ("holds", 4.9), "seed 0, AVX2": ("fails", 4.8)}
    found = agreement.of_claim(summary(sets), "a.b")
    assert found.seeds == (2, 3) and found.arithmetics == (2, 3) and found.margin == 1.0 and not found.unanimous


def test_a_claim_without_randomness_has_no_margin():
    found = agreement.of_claim(summary({"seed 0": ("holds", None)}), "a.b")
    assert found.unanimous and found.margin is None and found.arithmetics == (1, 1)
    assert agreement.of_claim(summary({"seed 0": ("holds", None)}), "c.d") is None


def test_a_set_that_other_code_measured_is_no_repetition():
    sets = {"seed 0": ("holds", 5.0), "set 1": ("holds", 3.0), "set 2": ("holds", 4.0)}
    found = agreement.of_claim(summary(sets, **{"1": "before"}), "a.b")
    assert list(found.verdicts) == ["seed 0", "set 2"] and found.margin == 4.0
    assert agreement.unanimous(summary(sets, **{"1": "before"}), ["a.b"]) == 0


def test_sets_and_topics_are_added_one_by_one(tmp_path, saturation_run, limits):
    path = tmp_path / "s.json"
    assert agreement.read(path) == {}
    for name in ("seed 0", "seed 1"):
        agreement.store(name, [results.judged(saturation_run, {"saturation.limits": limits()})], path)
    found = agreement.of_claim(agreement.read(path), "saturation.limits")
    assert found.verdicts == {"seed 0": "holds", "seed 1": "holds"}


def test_a_claim_that_a_set_lacks_is_not_unanimous():
    sets = summary({"seed 0": ("holds", 5.0), "seed 1": ("holds", 3.0)})
    assert agreement.unanimous(sets, ["a.b", "c.d"]) == 1
    assert agreement.unanimous(sets | {"seed 2": {}}, ["a.b"]) == 0
