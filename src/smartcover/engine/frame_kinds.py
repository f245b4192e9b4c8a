"""What kind of frame one is, as its own signals say: drawn, filmed, plain, a mixture of others."""

from __future__ import annotations

from smartcover.engine.types import Signals

LETTERED, FILMED = 0.18, 0.22
"""
Blur extent under which a frame may be as sharp as only letters and lines are (1 of 100 filmed frames is under 0.16),
and that much of a video must exceed for it to be filmed.
"""

ONE_COLOUR = 0.87
"""Share of one colour from which a frame may be a title, a logo or nothing at all."""

PAGE = 0.75
"""Share of plain ground from which a frame may be a page of a recording of a screen: those mostly stand still."""

_BLACK, _PLAIN_WHITE = 0.04, 0.9
"""
Share of nearly black from which a frame has no more light than it should, and share of its white that one plain colour
must be for it to be a ground: portraits on white have 0.06 to 0.1 and 0.96 or more. Over-exposed frames that are
exceptions in their video have less of one or the other, mostly of both: up to 0.07 of black.
"""


def looks_drawn(signals: Signals) -> bool:
    """Tell whether a frame may be made of letters, bars or flat colours, and not filmed."""
    return (
        signals.get("one_colour", 0.0) >= 0.6
        or signals.get("straight", 0.0) >= 0.65
        or signals["blur_extent"] <= LETTERED
    )


def looks_filmed(signals: Signals) -> bool:
    """
    Tell whether a camera must have seen a frame: there is texture nearly everywhere.

    More than not to look drawn: a page of several colours, a drawn scene and a clear sky are neither.
    """
    return signals["flat_share"] < 0.6 and signals["blur_extent"] > LETTERED


def is_on_white(signals: Signals) -> bool:
    """Tell whether a frame shows something before a white ground: more light would leave nothing in it black."""
    is_ground = signals.get("one_colour", 0.0) > _PLAIN_WHITE * signals["bright_share"]
    return is_ground and signals["dark_share"] > _BLACK


def may_stand_still(signals: Signals) -> bool:
    """
    Tell whether a frame may be a page, and no neighbour in time tells if it stands still.

    A page full of text, or with the picture of who speaks in its corner, has not much plain ground.
    """
    is_known = "motion" in signals or signals.get("held", 0.0) > 0
    return not is_known and not looks_filmed(signals)


def is_smoothed(signals: Signals, of: str = "smoothed") -> bool:
    """Tell whether most of a frame, or of its twin, has less fine detail than in a picture of about the same view."""
    return signals.get(of, 0.0) > 0.5


def is_mixture(signals: Signals) -> bool:
    """Tell whether a frame may be one of what comes before and after, also at the end of a fade or dissolve."""
    return is_blend(signals) or mixes(signals, 0.1)


def is_blend(signals: Signals) -> bool:
    """Tell whether a frame is the mean of its neighbours in time, while they change."""
    return signals.get("blend", 1.0) < 0.12 and signals.get("change", 0.0) > 8.0


def mixes(signals: Signals, least: float) -> bool:
    """
    Tell whether a frame is one moment with more than this share of another mixed in.

    Kept apart from what moves smoothly: a mixture of two moments is exact, and less than a twentieth is left.
    """
    return signals.get("mixture_rest", 1.0) < 0.05 and signals.get("mixed", 0.0) > least


def may_mix(signals: Signals) -> bool:
    """
    Tell whether a frame may be a mixture of two pictures that move, which no two moments explain exactly.

    It is near the mean of its neighbours in time, and hardly anything is left of it beside moments further away. What
    moves smoothly meets the first; 25 of 4,139 moments of real videos that no rule rejects meet both.
    """
    is_between = signals.get("blend", 1.0) < 0.4 and signals.get("change", 0.0) > 5.0
    return is_between and signals.get("mixture_rest", 1.0) < 0.12 and signals.get("mixed", 0.0) > 0.15


def is_plain(signals: Signals) -> bool:
    """Tell whether there is next to nothing in a frame: then no signal of sharpness says anything."""
    return signals["contrast"] < 0.03 or signals["detail"] < 1.0
