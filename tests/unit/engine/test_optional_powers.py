"""Optional powers: off by default, clean when absent, obeyed when asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from smartcover.engine import CoverOptions, Limits, pick_covers, safety, sessions, source, study
from smartcover.errors import BadParameter, NoSafeFrame
from tests.clips import small_clip


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_clip(tmp_path_factory.mktemp("clip") / "clip.mp4")


def judge_by(monkeypatch: pytest.MonkeyPatch, judge: Any) -> None:
    def unsafe(picture: Any, _runtime: Any = None) -> float:
        return float(judge(picture))

    monkeypatch.setattr(safety, "available", lambda: True)
    monkeypatch.setattr(study, "unsafe", unsafe)


def test_nothing_is_asked_of_the_safety_network_by_default(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(picture: Any) -> float:
        raise AssertionError("the safety network was asked")

    judge_by(monkeypatch, never)
    picks = pick_covers(clip, CoverOptions(count=2))
    assert all("unsafe" not in cover.signals for cover in picks.covers)


def test_an_unsafe_frame_is_never_a_cover(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = pick_covers(clip, CoverOptions(count=1)).covers[0]
    brightness: list[float] = []

    def brightest_is_unsafe(picture: Any) -> float:
        brightness.append(float(np.mean(picture)))
        return 0.99 if abs(float(np.mean(picture)) - reference) < 0.5 else 0.0

    reference = 0.0
    judge_by(monkeypatch, brightest_is_unsafe)
    pick_covers(clip, CoverOptions(count=1, safety=True))
    reference = brightness[0]
    picks = pick_covers(clip, CoverOptions(count=2, safety=True))
    assert all(cover.signals["unsafe"] < safety.REJECT_FROM for cover in picks.covers)
    assert plain.signals.get("unsafe") is None


def test_the_one_safe_moment_is_found_however_late_it_stands(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bytes] = []

    def only_the_last_to_be_asked_is_safe(picture: Any) -> float:
        if picture.tobytes() not in asked:
            asked.append(picture.tobytes())
        return 0.0 if asked.index(picture.tobytes()) == last else 0.99

    last = -1
    judge_by(monkeypatch, only_the_last_to_be_asked_is_safe)
    few = Limits(networks_on=1)
    with pytest.raises(NoSafeFrame):
        pick_covers(clip, CoverOptions(count=1, safety=True), limits=few)
    last = len(asked) - 1
    assert last > 10
    asked.clear()
    picks = pick_covers(clip, CoverOptions(count=1, safety=True), limits=few)
    assert [cover.signals["unsafe"] for cover in picks.covers] == [0.0]


def test_a_video_without_a_safe_frame_gets_no_cover_and_says_why(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    judge_by(monkeypatch, lambda _picture: 0.95)
    with pytest.raises(NoSafeFrame, match="safety check"):
        pick_covers(clip, CoverOptions(count=1, safety=True), limits=Limits())


def test_an_absent_safety_network_is_named_with_what_to_install(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(safety, "available", lambda: False)
    with pytest.raises(BadParameter, match=r"smartcover\[safety\]"):
        pick_covers(clip, CoverOptions(safety=True))


def test_a_scorer_that_is_not_there_is_named(clip: Path, tmp_path: Path) -> None:
    with pytest.raises(BadParameter, match=r"mine\.onnx"):
        pick_covers(clip, CoverOptions(scorer=tmp_path / "mine.onnx"))


def test_a_scorer_of_ones_own_moves_the_choice(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Later:
        """Likes what is alike to the last frames: the more of the red channel's mean, the better."""

        def score(self, picture: Any) -> float:
            return float(np.mean(picture[..., 0])) / 255

    from smartcover.engine import scorer_hook

    monkeypatch.setattr(scorer_hook.UserScorer, "load", classmethod(lambda cls, path, runtime=None: Later()))
    cover = pick_covers(clip, CoverOptions(count=1, scorer="mine.onnx")).covers[0]
    assert 0 <= cover.signals["own_score"] <= 1
    assert any(reason.startswith("the scorer's 0.") for reason in cover.reasons)


def test_without_an_accelerator_the_cpu_does_the_work(clip: Path) -> None:
    plain, asked = (pick_covers(clip, CoverOptions(count=2, gpu=gpu)) for gpu in (False, True))
    assert [cover.pts for cover in plain.covers] == [cover.pts for cover in asked.covers]


def test_every_network_is_meant_for_the_accelerator_that_is_asked_for(
    clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[bool] = []
    really_open = sessions._open

    def noting_open(model: Any, runtime: sessions.Runtime) -> Any:
        opened.append(runtime.gpu)
        return really_open(model, runtime)

    sessions.close_all()
    monkeypatch.setattr(sessions, "_open", noting_open)
    pick_covers(clip, CoverOptions(count=1, gpu=True))
    sessions.close_all()
    assert len(opened) > 2
    assert all(opened)


@pytest.mark.parametrize("kinds", [[], ["cuda"], ["vaapi", "cuda"], ["nonsense"]])
def test_a_device_that_cannot_be_opened_is_passed_over(
    clip: Path, monkeypatch: pytest.MonkeyPatch, kinds: list[str]
) -> None:
    # No device of these kinds can be opened where the tests run, though libav may be built for it.
    source.accelerator.cache_clear()
    monkeypatch.setattr(source, "hwdevices_available", lambda: kinds)
    assert len(pick_covers(clip, CoverOptions(count=1, gpu=True)).covers) == 1
    source.accelerator.cache_clear()
