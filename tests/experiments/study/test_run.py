"""A topic from settings to files: what is measured is saved, and pictures are drawn again when what they show has changed."""

import dataclasses

import numpy as np
import pytest

from experiments.study import figures, results, run, topics
from experiments.study.measurement import Evidence, exact

RUN = results.Run("saturation", "c", 0, "quick", {}, {}, "cpu", 1.5, "k")


def limits(at_infinity=1.0, x=0.0):
    """Evidence for one claim."""
    rates = [exact(name, 1, unit="nats", prediction=1) for name in ("rate-right", "rate-left")]
    ends = [exact("at-plus-infinity", at_infinity), exact("at-minus-infinity", 0)]
    return {"saturation.limits": Evidence((*rates, *ends), {"x": np.full(3, x)})}


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


def test_pictures_are_drawn_once_and_again_when_what_they_show_their_code_or_a_file_has_changed(tmp_path, drawn, monkeypatch):
    draw = lambda evidence, **of_run: run.draw(tmp_path, results.judged(dataclasses.replace(RUN, **of_run), evidence))
    draw(limits())
    draw(limits(), seconds=9.0, command="another")
    assert len(drawn) == 1
    draw(limits(x=1.0))  # another array
    draw(limits(at_infinity=2.0, x=1.0))  # another measurement
    draw(limits(at_infinity=2.0, x=1.0), scale="paper")
    assert len(drawn) == 4
    (tmp_path / "figures/saturation-limits.png").unlink()
    draw(limits(at_infinity=2.0, x=1.0), scale="paper")
    assert len(drawn) == 5
    monkeypatch.setattr(run.fingerprint, "of_code", lambda module: f"other {module}")
    draw(limits(at_infinity=2.0, x=1.0), scale="paper")
    draw(limits(at_infinity=2.0, x=1.0), scale="paper")
    assert len(drawn) == 6


def test_claims_may_be_left_out_only_where_an_optional_package_is_absent(tmp_path):
    some = dataclasses.replace(topics.load("saturation"), parts=(lambda settings, key: limits(),))
    measure = lambda topic: run.measure_topic(
        topic, topic.settings.preset("quick"), seed=0, scale="quick", command="c", out_dir=tmp_path
    )
    with pytest.raises(ValueError, match=r"measured \['saturation.limits'\]; its claims.toml has"):
        measure(some)
    assert not (tmp_path / "results").exists()
    found = measure(dataclasses.replace(some, optional=("no-such-package",)))
    assert list(found.claims) == ["saturation.limits"] and found.run.versions["no-such-package"] == "not installed"
    assert results.load(tmp_path, "saturation").run.key == found.run.key
