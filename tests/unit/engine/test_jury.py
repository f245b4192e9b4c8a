"""What counts against a moment when all looks of a video are judged together."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest

from smartcover.engine.budget import Budget
from smartcover.engine.candidates import Look
from smartcover.engine.decode import Run
from smartcover.engine.geometry import Orientation
from smartcover.engine.jury import Jury
from smartcover.engine.study import Networks, Studied, study
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
                run=Run(()),
                neighbours=(),
            )
        )
    return [study(look, Orientation()) for look in looks]


def _read(entry: Studied, lines: float) -> Studied:
    return replace(entry, signals={**entry.signals, "text_lines": lines, "text_share": 0.06 * min(1.0, lines)})


def test_a_title_over_a_moment_lowers_its_standing_and_that_of_no_other() -> None:
    jury = Jury(CoverOptions(), Budget(Limits()), Networks())
    plain = [_read(entry, 0.0) for entry in _studied()]
    titled = [_read(plain[0], 2.0), *plain[1:]]
    before, after = ([score.value for score in jury.standings(looks)[1]] for looks in (plain, titled))
    assert after[0] == pytest.approx(before[0] - 0.2)
    assert after[1:] == pytest.approx(before[1:])
