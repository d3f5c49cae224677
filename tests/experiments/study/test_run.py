"""A topic from settings to files: what is measured is saved, and pictures are drawn again when what they show has changed."""

import dataclasses

import numpy as np
import pytest

from experiments.study import figures, results, run, topics


@pytest.fixture
def drawn(monkeypatch):
    """The results that were drawn, in order; a picture holds a word."""
    found = []

    def draw_topic(out_dir, measured):
        found.append(measured)
        (out_dir / "figures").mkdir(exist_ok=True)
        for name in results.figure_files("saturation.limits", measured.run.scale):
            (out_dir / "figures" / name).write_text("picture")

    monkeypatch.setattr(figures, "draw_topic", draw_topic)
    return found


def test_pictures_are_drawn_once_and_again_when_what_they_show_their_code_or_a_file_has_changed(
    tmp_path, drawn, monkeypatch, saturation_run, limits
):
    def draw(evidence, **changes):
        of_run = dataclasses.replace(saturation_run, **changes)
        run.draw(tmp_path, results.judged(of_run, {"saturation.limits": evidence}))

    other = {"ends": (2.0, 0.0), "arrays": {"x": np.ones(3)}}
    draw(limits())
    draw(limits(), seconds=9.0, command="another")
    assert len(drawn) == 1
    draw(limits(arrays={"x": np.ones(3)}))
    draw(limits(**other))
    draw(limits(**other), scale="paper")
    assert len(drawn) == 4
    (tmp_path / "figures/saturation-limits.png").unlink()
    draw(limits(**other), scale="paper")
    assert len(drawn) == 5
    monkeypatch.setattr(run.fingerprint, "of_code", lambda module: f"other {module}")
    draw(limits(**other), scale="paper")
    draw(limits(**other), scale="paper")
    assert len(drawn) == 6


def test_claims_may_be_left_out_only_where_an_optional_package_is_absent(tmp_path, limits):
    some = dataclasses.replace(topics.load("saturation"), parts=(lambda settings, key: {"saturation.limits": limits()},))
    measure = lambda topic: run.measure_topic(
        topic, topic.settings.preset("quick"), seed=0, scale="quick", command="c", out_dir=tmp_path
    )
    with pytest.raises(ValueError, match=r"measured \['saturation.limits'\]; its claims.toml has"):
        measure(some)
    assert not (tmp_path / "results").exists()
    found = measure(dataclasses.replace(some, optional=("no-such-package",)))
    assert list(found.claims) == ["saturation.limits"] and found.run.versions["no-such-package"] == "not installed"
    assert results.load(tmp_path, "saturation").run.key == found.run.key
