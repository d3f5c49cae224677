"""README's table: only of a whole run at scale paper, between its two marks."""

import dataclasses

import pytest

from experiments.study import results, topics
from experiments.study.settings import SettingsError
from experiments.writeup import readme_table


def test_the_table_takes_the_place_of_the_one_between_the_marks():
    text = "before\n<!-- verdicts: by hand -->\nold\n<!-- /verdicts -->\nafter\n"
    assert readme_table.replaced(text, "new") == text.replace("old", "new")


def test_it_is_of_all_questions_at_scale_paper(tmp_path, monkeypatch, saturation_run, limits):
    monkeypatch.setattr(topics, "TOPICS", ("saturation",))
    with pytest.raises(SettingsError, match="has no results of saturation; run make figures first"):
        readme_table.table(tmp_path)
    results.save(tmp_path, results.judged(saturation_run, {"saturation.limits": limits()}))
    with pytest.raises(SettingsError, match="results of saturation at scale quick"):
        readme_table.table(tmp_path)
    paper = dataclasses.replace(saturation_run, scale="paper")
    results.save(tmp_path, results.judged(paper, {"saturation.limits": limits()}))
    head, _, row = readme_table.table(tmp_path).splitlines()
    assert head == "| claim | verdict | decided by [95% interval] |"
    assert row.startswith("| `saturation.limits` ") and row.endswith(" | holds | rate-right: 1 nats |")
