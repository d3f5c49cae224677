"""README's table: from the reference and the stability runs, between its two marks."""

from experiments.study import agreement, reference, results, rules
from experiments.writeup import readme_table


def test_the_table_takes_the_place_of_the_one_between_the_marks():
    text = "before\n<!-- verdicts: by hand -->\nold\n<!-- /verdicts -->\nafter\n"
    assert readme_table.replaced(text, "verdicts", "new") == text.replace("old", "new")


def test_one_set_of_seeds_is_no_agreement():
    assert "on one set of seeds so far" in readme_table.badge({"seed 0": {}}, ["saturation.limits"])


def test_a_row_has_verdict_sets_and_what_decides(tmp_path, saturation_run, limits):
    measured = results.judged(saturation_run, {"saturation.limits": limits()})
    claims = {"saturation.limits": rules.load_claims("saturation")["saturation.limits"]}
    *_, row = readme_table.table(claims, reference.read(tmp_path / "r.json"), {}).splitlines()
    assert row.endswith("| – | | not yet measured by today's rule |")
    reference.write([measured], tmp_path / "r.json")
    for name in ("seed 0", "seed 1", "seed 0, AVX2"):
        agreement.store(name, [measured], tmp_path / "s.json")
    summary = agreement.read(tmp_path / "s.json")
    badge, rate, _, _, _, row = readme_table.table(claims, reference.read(tmp_path / "r.json"), summary).splitlines()
    assert badge.startswith(
        "**1 claims, the same verdict in every seed set and instruction set** (seed 0, seed 1, seed 0, AVX2)"
    )
    assert rate.endswith("is at most 0.")
    assert (
        readme_table.totals(rules.load_claims(), reference.read(tmp_path / "r.json")) == "**Of 1 sentences 1 hold as stated.**"
    )
    assert row.startswith("| `saturation.limits` ") and row.endswith(" | holds | 3 of 3 | rate-right: 1 nats |")
    summary["seed 1"]["saturation"]["claims"]["saturation.limits"]["verdict"] = "fails"
    badge, *_, row = readme_table.table(claims, reference.read(tmp_path / "r.json"), summary).splitlines()
    assert badge.startswith("**0 of 1 claims") and "| 2 of 3 |" in row
