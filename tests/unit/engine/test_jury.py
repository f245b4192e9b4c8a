"""What counts against a moment when all looks of a video are judged together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from PIL import Image, ImageFilter

from smartcover.engine.budget import Budget
from smartcover.engine.geometry import Orientation
from smartcover.engine.jury import Jury
from smartcover.engine.looks import Look, Neighbour
from smartcover.engine.runs import Run
from smartcover.engine.study import Networks, Studied, study, study_again
from smartcover.engine.types import CoverOptions, Limits
from tests.real_frames import frames


def _studied() -> list[Studied]:
    looks = []
    for number, picture in enumerate(frames("bikes.mp4", (5, 60, 120, 180))):
        time = Fraction(10 * number)
        glance = picture[::8, ::8]
        looks.append(
            Look(
                pts=time,
                seconds=float(time),
                picture=picture,
                glance=glance,
                damage=0,
                suspect=False,
                run=Run((), Fraction(0)),
                neighbours=(),
            )
        )
    return [study(look, Orientation()) for look in looks]


def test_the_networks_see_the_best_keyframes_and_every_clean_moment_between_them() -> None:
    jury = Jury(CoverOptions(), Budget(Limits(networks_on=1)), Networks())
    alone = _studied()
    assert sum(entry.meaning is not None for entry in jury.see_best(alone)) == 1
    surrounded = [
        study(replace(entry.look, neighbours=(Neighbour(0.2, entry.look.glance),)), Orientation()) for entry in alone
    ]
    clean = [defect is None for defect in jury.judge(surrounded).defects]
    assert clean == [True, False, True, True]
    assert [entry.meaning is not None for entry in jury.see_best(surrounded)] == clean


def test_when_it_is_late_the_networks_see_no_more_but_what_becomes_a_cover() -> None:
    times = iter([0.0, *[0.7] * 6, *[0.8] * 100])
    jury = Jury(CoverOptions(count=1), Budget(Limits(seconds=1.0), clock=lambda: next(times)), Networks())
    seen = jury.see_best(_studied())
    assert sum(entry.meaning is not None for entry in seen) == 2
    (cover,) = jury.see_chosen(seen, 1, len(seen) + 1).chosen
    assert seen[cover.index].meaning is not None


def _close(picture: np.ndarray, seconds: int) -> Studied:
    other = _studied()[0].look
    rows, columns = other.glance.shape[:2]
    glance = np.asarray(Image.fromarray(picture).resize((columns, rows)))
    return study(
        replace(other, pts=Fraction(seconds), seconds=float(seconds), picture=picture, glance=glance), Orientation()
    )


def test_a_close_face_that_seems_blurred_beside_wide_views_is_clean_once_it_is_found_in_focus() -> None:
    (man,) = frames("carphone_pristine.mp4", (30,))
    head = Image.fromarray(man).crop((36, 4, 150, 97)).resize((320, 261), Image.Resampling.BICUBIC)
    soft = head.filter(ImageFilter.GaussianBlur(2))
    sharp = [replace(entry, signals={**entry.signals, "sharpness": 30.0, "blur_extent": 0.33}) for entry in _studied()]
    close, blurred = _close(np.asarray(head), 50), _close(np.asarray(soft), 60)
    jury = Jury(CoverOptions(), Budget(Limits()), Networks())
    for entry, is_clean in ((close, True), (blurred, False)):
        looks = [*sharp, entry]
        first = jury.judge(looks).defects[-1]
        assert first is not None
        assert first.kind == "blurry", "faces are not looked for yet"
        assert (jury.judge(jury.see_best(looks)).defects[-1] is None) == is_clean


def _read(entry: Studied, lines: float) -> Studied:
    return replace(entry, signals={**entry.signals, "text_lines": lines, "text_share": 0.06 * min(1.0, lines)})


def test_a_title_over_a_moment_lowers_its_standing_and_that_of_no_other() -> None:
    jury = Jury(CoverOptions(), Budget(Limits()), Networks())
    plain = [_read(entry, 0.0) for entry in _studied()]
    titled = [_read(plain[0], 2.0), *plain[1:]]
    before, after = ([score.value for score in jury.judge(looks).standings] for looks in (plain, titled))
    assert after[0] == pytest.approx(before[0] - 0.2)
    assert after[1:] == pytest.approx(before[1:])


@pytest.mark.parametrize(
    ("speaks_by", "heeded"), [("own_score", lambda value: (value + 1.0) / 2), ("unsafe", lambda value: value - 0.5)]
)
def test_the_score_that_is_shown_is_the_one_by_which_covers_are_chosen(
    speaks_by: str, heeded: Callable[[float], float]
) -> None:
    jury = Jury(CoverOptions(), Budget(Limits()), Networks())
    looks = _studied()
    before = [score.value for score in jury.judge(looks).standings]
    said = replace(looks[0], signals={**looks[0].signals, speaks_by: 1.0})
    after = [score.value for score in jury.judge([said, *looks[1:]]).standings]
    assert after == pytest.approx([heeded(before[0]), *before[1:]])
    chosen = jury.select([said, *looks[1:]]).chosen
    assert [entry.score for entry in chosen] == [after[entry.index] for entry in chosen]


def test_looks_are_judged_once_until_something_new_is_known_of_one() -> None:
    jury = Jury(CoverOptions(), Budget(Limits()), Networks())
    looks = _studied()
    judged = jury.judge(looks)
    assert jury.judge(list(looks)) is judged
    assert jury.judge([_read(looks[0], 2.0), *looks[1:]]) is not judged


def test_a_picture_that_was_seen_alone_gets_from_its_surroundings_what_it_would_have_got_at_once() -> None:
    alone = _studied()[0]
    glances = [(offset, np.roll(alone.look.glance, step, axis=1)) for step, offset in enumerate((-0.2, 0.2, 0.4))]
    look = replace(alone.look, neighbours=tuple(Neighbour(*entry) for entry in glances))
    again, at_once = study_again(alone, look, Orientation()), study(look, Orientation())
    assert again.look is look
    assert again.signals == at_once.signals != alone.signals


def _thought_of(entry: Studied, appeal: float) -> Studied:
    meaning = {"recognisable": 1.0, "centre_recognisable": 1.0, "appeal": appeal}
    return replace(entry, signals={**entry.signals, **meaning}, meaning=np.full(4, 0.5, dtype=np.float32))


def test_the_unseen_twin_of_a_picture_is_worth_as_much_as_that_and_not_as_an_average_one() -> None:
    jury = Jury(CoverOptions(), Budget(Limits()), Networks())
    dull, *others = (_thought_of(entry, appeal) for entry, appeal in zip(_studied(), (0.0, 1.0, 1.2, 1.4), strict=True))
    twin, stranger = _studied()[0], _studied()[3]
    scores = [score.value for score in jury.judge([dull, *others, twin]).scores]
    assert scores[4] == pytest.approx(scores[0])
    unlike = [score.value for score in jury.judge([dull, *others[:2], stranger]).scores]
    known = [score.value for score in jury.judge([dull, *others[:2], _thought_of(stranger, 0.0)]).scores]
    assert unlike[3] > known[3], "what nothing seen looks like counts as the middle"


class _Counting(Networks):
    """Thinks the less of a picture the sharper it is, and says so by one signal."""

    shown = 0
    speaks_by = "appeal"

    def look(self, entry: Studied) -> Studied:
        self.shown += 1
        seen = super().look(entry)
        amount = {"appeal": -1.0, "own_score": -0.01, "unsafe": 0.01}[self.speaks_by] * seen.signals["sharpness"]
        return replace(seen, signals={**seen.signals, self.speaks_by: amount})


@pytest.mark.parametrize("speaks_by", ["appeal", "own_score", "unsafe"])
def test_a_video_that_repeats_itself_is_not_shown_to_the_networks_over_and_over(speaks_by: str) -> None:
    networks = _Counting()
    networks.speaks_by = speaks_by
    jury = Jury(CoverOptions(), Budget(Limits(networks_on=8)), networks)
    looks = [replace(entry, look=replace(entry.look)) for _round in range(10) for entry in _studied()]
    studied = jury.see_best(looks)
    selection = jury.see_chosen(studied, 3, len(studied) + 1)
    assert all(studied[entry.index].meaning is not None for entry in selection.chosen)
    assert networks.shown <= 8 + 4
