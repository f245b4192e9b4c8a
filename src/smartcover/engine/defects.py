"""Hard reasons against a frame: what is never a cover while anything else is."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from smartcover.engine.safety import REJECT_FROM
from smartcover.engine.types import RejectionKind

Signals = Mapping[str, float]


_STREAKED = 0.1
WORDY_LINES, _ENOUGH_WORDY = 4, 4
"""
Lines of text beyond what the video's frames mostly show, from which a frame is taken for credits; and how many such
frames tell how those look that were not read.
"""

_DOUBT_OF_LINE, _DOUBT_OF_MIXTURE = 0.1, 0.15
"""What each of two lines of text beyond the usual costs of a score, and what may be the end of a fade or dissolve."""

_PALE, _DEEP = 0.275, 0.14
"""
Lowlights of a frame that has no dark at all (lifted ones from 0.28 on; what judges accepted of filmed and drawn stays
under 0.24), and those that the darker frames of a video must stay under for it to be a reason.
"""

_ENOUGH_OTHERS = 0.4
"""Share of a video's frames that are otherwise, from which a frame may be called an exception among them."""

_ENOUGH_FILM = 0.15
"""
Share of a video's frames that look filmed from which lines of text may be credits. Recordings of screens have none to
a quarter of such frames, mostly none.
"""

_DRAWN, _LETTERED, _FILMED = 0.15, 0.18, 0.22
"""
Blur extent under which a frame is as sharp as only letters and lines are (drawn cards 0.04 to 0.15, 1 of 100 filmed
frames under 0.16), under which it may be, and that much of a video must exceed for it to be filmed.
"""

_SHUT, _OPEN = 0.15, 0.5
_BLURRED, _DULL_BLURRED, _FURTHER_BLURRED = 0.58, 0.52, 0.22
"""
Blur extent from which a frame is blurred, and from which if it has little detail too; and by how much it must exceed
that of the video's sharper frames.
"""


@dataclass(frozen=True, slots=True)
class Defect:
    """A reason not to use a frame."""

    kind: RejectionKind
    reason: str


@dataclass(frozen=True, slots=True)
class Clip:
    """
    What is normal in this video: a rule that compares with it cannot empty a video that is dark, soft, pale or drawn
    for the most part.

    Attributes:
        sharp, detailed, contrasty, focused, eyes: What the better frames reach.
        bright, plain, flat, grown, calm: White, one colour, flatness, straight lines and pure colours of what is usual,
            or of the frames that have least of it.
        shaded, pale: White and lowlights that two fifths of the frames stay under.
        soft: Blur extent that two fifths of the frames exceed.
        moving, lively: How much moves in all but the stillest 30 and 90 % of the frames that are no mixture.
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
    lettered: float = 0.0

    @classmethod
    def of(cls, every: Sequence[Signals]) -> Clip:
        filmed = _filmed(every)
        read = [signals for signals in every if "text_lines" in signals]
        has_film = sum(_looks_filmed(signals) for signals in every) >= max(3, _ENOUGH_FILM * len(every))
        wordless = _wordless(read, has_film=has_film)
        return cls(
            sharp=_quantile([signals["sharpness"] for signals in filmed], 0.8),
            detailed=_quantile([signals["detail"] for signals in every], 0.8),
            contrasty=_quantile([signals["contrast"] for signals in every], 0.8),
            bright=_quantile([signals["bright_share"] for signals in every], 0.5),
            focused=_quantile([signals["blur_extent"] for signals in filmed], 0.2),
            plain=_quantile([signals.get("one_colour", 0.0) for signals in every], 0.1),
            flat=_quantile([signals["flat_share"] for signals in every], 0.2),
            eyes=max((signals.get("eyes_open", 0.0) for signals in every), default=0.0),
            moving=min(_moving(every, 0.3), _moving(filmed, 0.3)),
            lively=min(_moving(every, 0.1), _moving(filmed, 0.1)),
            shaded=_quantile([signals["bright_share"] for signals in every], _ENOUGH_OTHERS),
            pale=_quantile([signals.get("lowlights", 0.0) for signals in every], _ENOUGH_OTHERS),
            soft=_quantile([signals["blur_extent"] for signals in every if not _is_plain(signals)], 1 - _ENOUGH_OTHERS),
            grown=_quantile([signals.get("straight", 0.0) for signals in every], 0.1),
            calm=_quantile([signals["colourfulness"] for signals in every], 0.05),
            wordless=wordless,
            lettered=_lettered(read, wordless) if has_film else 0.0,
        )


def _filmed(every: Sequence[Signals]) -> Sequence[Signals]:
    """
    Leave out what looks drawn: letters and bars are sharper and richer in contrast than anything that is filmed.

    Where hardly anything else is left, the video is made of the like, and all of it counts.
    """
    filmed = [
        signals
        for signals in every
        if signals.get("one_colour", 0.0) < 0.6
        and signals.get("straight", 0.0) < 0.65
        and signals["blur_extent"] > _LETTERED
    ]
    return filmed if len(filmed) >= max(3, 0.1 * len(every)) else every


def _moving(some: Sequence[Signals], share: float) -> float:
    """
    Say how much moves in the given share of the frames, three at least; 0 with fewer.

    Mixtures do not count: in a slide show nothing else moves, and its pictures are what it shows.
    """
    still = sorted(signals.get("stillness", 0.0) for signals in some if not _is_mixture(signals))
    return 1.0 - still[max(2, math.floor(share * len(still)))] if len(still) > 2 else 0.0


def _is_mixture(signals: Signals) -> bool:
    """Tell whether a frame may be one of what comes before and after, also at the end of a fade or dissolve."""
    return _is_blend(signals) or _mixes(signals, 0.1)


def _is_blend(signals: Signals) -> bool:
    return signals.get("blend", 1.0) < 0.12 and signals.get("change", 0.0) > 8.0


def _mixes(signals: Signals, least: float) -> bool:
    """
    Tell whether a frame is one moment with more than this share of another mixed in.

    Kept apart from what moves smoothly: a mixture of two moments is exact, and less than a twentieth is left.
    """
    return signals.get("mixture_rest", 1.0) < 0.05 and signals.get("mixed", 0.0) > least


def _is_plain(signals: Signals) -> bool:
    """Tell whether there is next to nothing in a frame: then no signal of sharpness says anything."""
    return signals["contrast"] < 0.03 or signals["detail"] < 1.0


def find_defect(signals: Signals, clip: Clip, *, broken: bool) -> Defect | None:
    """Name the first hard reason against a frame, gravest first, or None when it is clean."""
    if signals.get("unsafe", 0.0) >= REJECT_FROM:
        return Defect("unsafe", f"the safety check calls the frame unsafe ({signals['unsafe']:.2f})")
    if broken:
        return Defect("broken", "the data of this frame, or of one it builds on, is damaged")
    if signals.get("streaks", 0.0) > _STREAKED:
        return Defect("broken", "the frame is smeared: the data around it is damaged")
    if signals["contrast"] < 0.02 and signals["detail"] < 0.8:
        if signals["highlights"] < 0.14:
            return Defect("dark", "the frame is black")
        if signals["brightness"] > 0.9:
            return Defect("bright", "the frame is white")
        return Defect("flat", "the frame is one plain colour")
    if signals["highlights"] < 0.16 or (signals["dark_share"] > 0.93 and signals["highlights"] < 0.35):
        return Defect("dark", f"{signals['dark_share']:.0%} of the frame is nearly black")
    # White pages are what a screen recording shows; a white card or an over-exposed moment is an exception.
    exceptional = signals["contrast"] < 0.08 or clip.bright < 0.5
    if signals["bright_share"] > 0.75 and exceptional:
        return Defect("bright", f"{signals['bright_share']:.0%} of the frame is nearly white")
    if (
        signals["bright_share"] > 0.5
        and signals["brightness"] > 0.8
        and clip.shaded < 0.1
        and signals["blur_extent"] > _LETTERED
    ):
        return Defect(
            "bright", f"{signals['bright_share']:.0%} of the frame is nearly white, others of this video are not"
        )
    if signals.get("twin_glare", 0.0) > 0.05 and signals.get("twin_lift", 0.0) > 0.05:
        return Defect("bright", "the frame is over-exposed: the same view is less blown out elsewhere in this video")
    if signals["flat_share"] > 0.97 and signals["entropy"] < 1.5 and signals["contrast"] < 0.06:
        return Defect("flat", f"{signals['flat_share']:.0%} of the frame is plain")
    card = _find_card(signals, clip)
    if card is not None:
        return card
    if signals.get("lowlights", 0.0) > _PALE and clip.pale < _DEEP and signals["flat_share"] < 0.86:
        return Defect(
            "transition", "nothing in the frame is dark: it is faded or washed out, others of this video are not"
        )
    if _is_blend(signals):
        return Defect("transition", "the frame is a mixture of what comes before and after: a fade or dissolve")
    if _mixes(signals, 0.2):
        return Defect("transition", "the frame is a mixture of an earlier and a later picture: a fade or dissolve")
    if signals.get("twin_sharpness", 1.0) < 0.75 and signals.get("twin_softening", 0.0) > 0.05:
        return Defect("blurry", "the same view is sharper elsewhere in this video")
    if signals.get("twin_gain", 1.0) < 0.85:
        return Defect("transition", "the same view has more light and contrast elsewhere in this video, as in a fade")
    dull = signals["detail"] < 0.5 * clip.detailed
    # A calm picture has little detail too, but loses much by a further blur: of 46 blurred planted frames that meet the
    # other two conditions all exceed 0.52, of 185 clean ones 96.
    if signals["sharpness"] < 0.3 * clip.sharp and signals["blur_extent"] > (_DULL_BLURRED if dull else _BLURRED):
        return Defect("blurry", "the frame is far less sharp than others of this video")
    if signals["blur_extent"] > max(_BLURRED, clip.focused + _FURTHER_BLURRED):
        return Defect("blurry", "the frame is out of focus, others of this video are not")
    # With neighbours at hand, a fade shows in them; a hazy sky is as pale and changes nothing.
    fades = signals.get("fading", 1.0) > 0.05 or signals.get("light_change", 99.0) > 6.0
    if signals["contrast"] < 0.35 * clip.contrasty and dull and fades:
        return Defect("transition", "the frame is washed out beside others of this video, as in a fade")
    if _eyes_are_shut(signals) and clip.eyes > _OPEN:
        return Defect("eyes", "the eyes of the face are shut")
    if signals.get("stillness", 0.0) > 0.9 and (
        clip.moving > 0.7 or (signals.get("held", 0.0) > 0 and clip.lively > 0.7 and signals["flat_share"] < 0.75)
    ):
        return Defect("frozen", "the picture is frozen, the video otherwise moves")
    return None


def _eyes_are_shut(signals: Signals) -> bool:
    """Of 14 such frames in the judged clips, judges called 13 unusable and one weak."""
    seen = signals.get("faces", 0.0) > 0 and signals.get("face_size", 0.0) > 0.08
    return seen and signals.get("eyes_open", 1.0) < _SHUT


def _find_card(signals: Signals, clip: Clip) -> Defect | None:
    """
    Name drawn pictures where filmed ones exist: screen recordings and drawn films are made of the like throughout.

    Thresholds from the judged clips (at most 0.83 of one colour and 0.97 ruled in frames of filmed clips that judges
    accepted, neighbours alike above 0.69 in all) and from drawn cards (0.91, 0.99, and 0.16 for noise).
    """
    if signals.get("likeness_of_neighbours", 1.0) < 0.45:
        return Defect("flat", "the frame is nothing but noise")
    # A video of cards with a few filmed frames is still better shown by those.
    if signals.get("one_colour", 0.0) > 0.87 and clip.plain < 0.75:
        return Defect("card", f"{signals['one_colour']:.0%} of the frame is one colour: a title, logo or credits")
    if signals.get("ruled", 0.0) > 0.985 and signals["flat_share"] > 0.9 and clip.flat < 0.85:
        return Defect("card", "the frame is made of bars: a test card")
    # Pure colours without grain: the judged frames stay under 160, the test patterns reach 230.
    pure = signals["colourfulness"] > 180 and signals["noise"] < 0.05
    if pure and signals.get("ruled", 0.0) > 0.9 and signals["flat_share"] > 0.8 and clip.calm < 150:
        return Defect("card", "the frame is made of plain pure colours: a test card")
    # The judged frames of grade 2 and more stay under 0.62; grain and grids do not hide it.
    drawn = signals.get("straight", 0.0) > (0.75 if signals["colourfulness"] > 85 else 0.8)
    if drawn and clip.grown < 0.6:
        return Defect("card", "the frame is made of straight lines and bars: a test card or a table")
    # A view that is softer elsewhere in the video is filmed, however sharp it is here.
    if signals["blur_extent"] < _DRAWN and clip.soft > _FILMED and signals.get("twin_blur", 0.0) < _FILMED:
        return Defect("card", "the frame is sharper than anything that is filmed: letters or a drawing")
    if "text_lines" not in signals and signals["blur_extent"] < clip.lettered:
        return Defect("card", "the frame looks like those of this video that are full of text")
    if _is_wordy(signals, clip.wordless):
        return Defect("card", f"the frame shows {signals['text_lines']:.0f} lines of text: credits or a table")
    return None


def _looks_filmed(signals: Signals) -> bool:
    return signals["flat_share"] < 0.6 and signals["blur_extent"] > _LETTERED


def _wordless(read: Sequence[Signals], *, has_film: bool) -> float:
    """
    How many lines of text those frames show that have few: one that is filmed is enough, an empty page is not.

    In a recording of a screen, where hardly anything is filmed, text is what it shows.
    """
    usual = _quantile([signals["text_lines"] for signals in read], 0.2)
    filmed = [signals["text_lines"] for signals in read if has_film and _looks_filmed(signals)]
    return min([usual, *filmed])


def _is_wordy(signals: Signals, wordless: float) -> bool:
    return signals.get("text_lines", 0.0) >= wordless + WORDY_LINES and signals.get("text_share", 0.0) > 0.05


def _lettered(read: Sequence[Signals], wordless: float) -> float:
    """
    Give the blur extent up to which all that was read is full of text; 0 with few such frames or none.

    Not all frames can be read, and where the first are credits the next may be too.
    """
    wordy = [signals["blur_extent"] for signals in read if _is_wordy(signals, wordless)]
    others = [signals["blur_extent"] for signals in read if not _is_wordy(signals, wordless)]
    if len(wordy) < _ENOUGH_WORDY:
        return 0.0
    # What is softer is filmed: it must not go unread because the first that were read were credits over a blur.
    return min([max(wordy) + 0.01, _FILMED, *others])


def doubt(signals: Signals, clip: Clip) -> float:
    """
    Say what a frame loses of its score, 0 to 0.35, for what may be a defect and is too uncertain for a rejection.

    Where a page is shown, text is what the video is about and costs nothing.
    """
    result = 0.0
    if signals.get("text_share", 0.0) > 0.05 and signals.get("one_colour", 0.0) < 0.5:
        result += _DOUBT_OF_LINE * min(2.0, max(0.0, signals["text_lines"] - clip.wordless))
    if _mixes(signals, 0.1):
        result += _DOUBT_OF_MIXTURE
    return result


def wreckage(signals: Signals) -> float:
    """Rank broken frames: errors met, and ten of them for a picture that is smeared all over. 0 for an intact frame."""
    return signals["damage"] + 10.0 * signals.get("streaks", 0.0)


def _quantile(values: Sequence[float], share: float) -> float:
    if not values:
        return 0.0
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, math.floor(share * len(ordered)))]
