"""
What is normal in a video, by what its frames mostly show.

The rules that compare with it are in defects.py and doubts.py; what may not count when it is measured is in the former
(`norms_of`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from smartcover.engine.frame_kinds import (
    FILMED,
    ONE_COLOUR,
    is_mixture,
    is_plain,
    is_smoothed,
    looks_drawn,
    looks_filmed,
    may_stand_still,
)
from smartcover.engine.types import Signals

WORDY_LINES, _ENOUGH_WORDY = 4, 4
"""
Lines of text beyond what the video's frames mostly show, from which a frame is taken for credits; and how many such
frames tell how those look that were not read.
"""

_ENOUGH_OTHERS = 0.4
"""Share of a video's frames that are otherwise, from which a frame may be called an exception among them."""

_ENOUGH_TO_MEASURE = 3
"""How many frames must be left to tell what is normal in a video without those that have a defect."""

_ENOUGH_FILM = 0.15
"""
Share of a video's frames that look filmed from which lines of text may be credits. Recordings of screens have none to
a quarter of such frames, mostly none.
"""

_ENOUGH_SMOOTHED = 3
"""How many frames must be known to be blurred before others are held against them."""


@dataclass(frozen=True, slots=True)
class Clip:
    """
    What is normal in this video: a rule that compares with it cannot empty a video that is dark, soft, pale or drawn
    for the most part.

    Attributes:
        sharp, detailed, contrasty, focused, eyes: What the better frames reach.
        bright, plain, flat, grown, calm: White, one colour, flatness, straight lines and pure colours of what is usual,
            or of the frames that have least of it; straight lines and colours of those that are not all one colour.
        lit, shaded, pale, quiet, unspecked, whole, unburnt: Brightness, white, lowlights, noise, specks, shares of
            another picture and of light that is cut off, each of which two fifths of the frames stay under.
        varied: Entropy of light that half of the frames exceed.
        soft, paged: Blur extent and plain ground that two fifths of the frames exceed.
        moving, lively: How much moves in all but the stillest 30 and 90 % of the frames that are no mixture.
        smeared: Blur extent that three quarters of the frames reach which are blurred beside others of their view; out
            of reach where few are known.
        wordless, lettered: Lines of text of the frames with few, and the blur extent up to which frames are full of it.
    """

    sharp: float
    detailed: float
    contrasty: float
    bright: float
    focused: float
    plain: float
    flat: float
    eyes: float
    moving: float = 0.0
    wordless: float = 0.0
    calm: float = 0.0
    grown: float = 0.0
    pale: float = 0.0
    soft: float = 0.0
    lively: float = 0.0
    shaded: float = 0.0
    quiet: float = 0.0
    whole: float = 0.0
    unburnt: float = 0.0
    lit: float = 1.0
    varied: float = 0.0
    unspecked: float = 0.0
    lettered: float = 0.0
    smeared: float = math.inf
    paged: float = 0.0

    @property
    def is_filmed(self) -> bool:
        """Whether much of it is softer than anything that is drawn."""
        return self.soft > FILMED

    @classmethod
    def of(cls, every: Sequence[Signals]) -> Clip:
        """Measure a video by all its frames; a signal that a frame lacks tells nothing of it."""
        undrawn = _without_drawings(every)
        alive = _enough([signals for signals in undrawn if not signals.get("held", 0.0)], undrawn)
        read = [signals for signals in every if "text_lines" in signals]
        has_film = sum(looks_filmed(signals) for signals in every) >= max(3, _ENOUGH_FILM * len(every))
        wordless = _wordless(read, has_film=has_film)
        pictured = _enough([signals for signals in every if signals.get("one_colour", 0.0) < ONE_COLOUR], every)
        return cls(
            **_reached(every, alive),
            **_usual(every),
            plain=_quantile([signals.get("one_colour", 0.0) for signals in every], 0.1),
            flat=_quantile([signals["flat_share"] for signals in every], 0.2),
            eyes=max((signals.get("eyes_open", 0.0) for signals in every), default=0.0),
            moving=min(_moving(every, 0.3), _moving(undrawn, 0.3)),
            lively=min(_moving(every, 0.1), _moving(undrawn, 0.1)),
            whole=_quantile([signals.get("patched", 0.0) for signals in every], _ENOUGH_OTHERS),
            unburnt=_quantile([signals["cut_off_share"] for signals in every], _ENOUGH_OTHERS),
            varied=_quantile([signals["entropy"] for signals in every], 0.5),
            soft=_quantile([signals["blur_extent"] for signals in every if not is_plain(signals)], 1 - _ENOUGH_OTHERS),
            grown=_quantile([signals.get("straight", 0.0) for signals in pictured], 0.1),
            calm=_quantile([signals["colourfulness"] for signals in pictured], 0.05),
            wordless=wordless,
            lettered=_lettered(read, wordless) if has_film else 0.0,
            smeared=_smeared(every),
            paged=_quantile([signals["flat_share"] for signals in every], 1 - _ENOUGH_OTHERS),
        )

    def measured_by(self, better: Sequence[Signals], usual: Sequence[Signals]) -> Clip:
        """
        Ask for no more than some of the frames show, if those are enough to tell.

        Args:
            better: Frames that say what sharpness, detail and contrast the better ones reach.
            usual: Frames that say how much light, white, paleness, noise and specks are usual.
        """
        asked: dict[str, float] = {}
        alive = [signals for signals in _without_drawings(better) if not signals.get("held", 0.0)]
        if len(alive) >= _ENOUGH_TO_MEASURE:
            reached = _reached(better, alive)
            asked |= {name: min(getattr(self, name), reached[name]) for name in ("sharp", "detailed", "contrasty")}
            asked["focused"] = max(self.focused, reached["focused"])
        if len(usual) >= _ENOUGH_TO_MEASURE:
            asked |= {name: max(getattr(self, name), value) for name, value in _usual(usual).items()}
        return replace(self, **asked)


def _reached(every: Sequence[Signals], alive: Sequence[Signals]) -> dict[str, float]:
    """Say what the better frames reach; how sharp they are by those that are alive, neither drawn nor held."""
    return {
        "sharp": _quantile([signals["sharpness"] for signals in alive], 0.8),
        "detailed": _quantile([signals["detail"] for signals in every], 0.8),
        "contrasty": _quantile([signals["contrast"] for signals in every], 0.8),
        "focused": _quantile([signals["blur_extent"] for signals in alive], 0.2),
    }


def _usual(every: Sequence[Signals]) -> dict[str, float]:
    """Say how much light, white, paleness, noise and specks are usual."""
    return {
        "lit": _quantile([signals["brightness"] for signals in every], _ENOUGH_OTHERS),
        "bright": _quantile([signals["bright_share"] for signals in every], 0.5),
        "shaded": _quantile([signals["bright_share"] for signals in every], _ENOUGH_OTHERS),
        "pale": _quantile([signals.get("lowlights", 0.0) for signals in every], _ENOUGH_OTHERS),
        "quiet": _quantile([signals["noise"] for signals in every], _ENOUGH_OTHERS),
        "unspecked": _quantile([signals["specks"] for signals in every], _ENOUGH_OTHERS),
    }


def _without_drawings(every: Sequence[Signals]) -> Sequence[Signals]:
    """
    Leave out what looks drawn: letters and bars are sharper and richer in contrast than anything that is filmed.

    Where hardly anything else is left, the video is made of the like, and all of it counts.
    """
    return _enough([signals for signals in every if not looks_drawn(signals)], every)


def _enough(some: Sequence[Signals], every: Sequence[Signals]) -> Sequence[Signals]:
    """Give some of the frames, or every one if those are too few to tell what is normal."""
    return some if len(some) >= max(3, 0.1 * len(every)) else every


def _moving(some: Sequence[Signals], share: float) -> float:
    """
    Say how much moves in the given share of the frames, three at least; 0 with fewer.

    Mixtures do not count: in a slide show nothing else moves, and its pictures are what it shows. Nor does what was
    looked at alone and may be a page: what a camera sees moves, a page mostly does not.
    """
    still = sorted(
        signals.get("stillness", 0.0) for signals in some if not (is_mixture(signals) or may_stand_still(signals))
    )
    return 1.0 - still[max(2, math.floor(share * len(still)))] if len(still) > 2 else 0.0


def _smeared(every: Sequence[Signals]) -> float:
    known = [signals["blur_extent"] for signals in every if is_smoothed(signals)]
    return _quantile(known, 0.25) if len(known) >= _ENOUGH_SMOOTHED else math.inf


def _wordless(read: Sequence[Signals], *, has_film: bool) -> float:
    """
    How many lines of text those frames show that have few: one that is filmed is enough, an empty page is not.

    In a recording of a screen, where hardly anything is filmed, text is what it shows, and half of the frames count.
    """
    usual = _quantile([signals["text_lines"] for signals in read], 0.2 if has_film else 0.5)
    filmed = [signals["text_lines"] for signals in read if has_film and looks_filmed(signals)]
    return min([usual, *filmed])


def _lettered(read: Sequence[Signals], wordless: float) -> float:
    """
    Give the blur extent up to which all that was read is full of text; 0 with few such frames or none.

    Not all frames can be read, and where the first are credits the next may be too.
    """
    wordy = [signals["blur_extent"] for signals in read if is_wordy(signals, wordless)]
    others = [signals["blur_extent"] for signals in read if not is_wordy(signals, wordless)]
    if len(wordy) < _ENOUGH_WORDY:
        return 0.0
    # What is softer is filmed: it must not go unread because the first that were read were credits over a blur.
    return min([max(wordy) + 0.01, FILMED, *others])


def is_wordy(signals: Signals, wordless: float) -> bool:
    """Tell whether a frame shows far more lines of text than the frames of its video that have few."""
    return signals.get("text_lines", 0.0) >= wordless + WORDY_LINES and signals.get("text_share", 0.0) > 0.05


def _quantile(values: Sequence[float], share: float) -> float:
    if not values:
        return 0.0
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, math.floor(share * len(ordered)))]
