"""Hard reasons against a frame: what is never a cover while anything else is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from smartcover.engine.frame_kinds import (
    FILMED,
    LETTERED,
    ONE_COLOUR,
    PAGE,
    is_blend,
    is_on_white,
    is_smoothed,
    mixes,
)
from smartcover.engine.norms import Clip, is_wordy
from smartcover.engine.safety import REJECT_FROM
from smartcover.engine.types import RejectionKind, Signals

_STREAKED = 0.1
"""Share of a frame near damage that is drawn down in streaks, from which it is smeared: one of its six bands."""

_DRAWN = 0.15
"""Blur extent under which a frame is as sharp as only letters and lines are (drawn cards 0.04 to 0.15)."""

_GROUND = 0.6
"""
Share of one colour from which a frame that is as sharp as letters shows nothing but those: no clean moment of 9,583 of
the seventh suite, and none of 4,139 of real videos, is so where the video is filmed.
"""

_PALE, _DEEP = 0.275, 0.14
"""
Lowlights of a frame that has no dark at all (lifted ones from 0.28 on; what judges accepted of filmed and drawn stays
under 0.24), and those that the darker frames of a video must stay under for it to be a reason.
"""

_DIMMED = 0.85
"""
Share of contrast left of that of a picture of the same scene, under which a frame is faded or dimmed: so are three of
4,718 moments of 85 graded videos, all beside unusable frames. A camera that sets its exposure leaves 0.87 in good ones.
"""

_GLARING, _SHADED = 0.3, 0.2
"""
Share of nearly white from which a frame is an exception in a video of darker ones, and what those must stay under, and
so much under it. In 96 real videos nothing is but a title; over-exposed frames that no picture of the same view gives
away have 0.33 to 0.71 (docs/planted-defects.md).
"""

_SPECKLED, _MUCH_MORE_NOISE, _MORE_NOISE = 3.0, 4.0, 2.0
"""
Noise from which a frame may be speckled, and how many times as much it must be as two fifths of a video's frames have,
and as one around it that shows partly the same has. Sharp grass, grain and snow reach it too, in all of their scene.
"""

_SPECKS, _MANY_SPECKS, _MUCH_MORE_SPECKS, _MORE_SPECKS, _NOISIER = 0.002, 0.004, 3.0, 2.0, 1.15
"""
Specks from which a frame may be a dissolve by pixels, and from which it is one whatever is around it; how many times as
many they must be as two fifths of a video's frames have, and as one around it that shows partly the same has; and how
many times as much noise as those there must be. Of 4,971 frames of 96 real videos eight are so, pages of a drawn one.
"""

_GROWN_SPECKS = 0.0005, 0.002
"""
Specks of what is noisy by nature: sharp grass has 0.001 to 0.0014. Grain laid over a blur has hardly any, as encoding
takes the single pixels, and a dissolve by pixels more.
"""

_PURE, _MUCH_PURER = 180.0, 50.0
"""Colourfulness from which colours are as pure as on a test card, and how much more it is than that of a video."""

_BARS_COLOURED = 100.0
"""Colourfulness from which plain colours may be the bars of a test card, of three quarters of the full colours too."""

_GRAINY_BARS = 120.0
"""
Colourfulness from which a frame whose borders run straight for half of their length is the bars of a test card, with
grain or without, if it is as much purer than its video as `_MUCH_PURER` says: 22 of 24 such moments that no other rule
rejects are so, no clean one of 17,626 of the seventh suite (docs/planted-defects.md), and none of 4,139 of real videos.
"""

_EVERY_COLOUR, _NOWHERE_PLAIN = 110.0, 0.02
"""
Colourfulness of a frame that holds all colours alike (128 to 137 where it does), and flatness under which nothing in it
is plain. Of 4,971 moments of 96 real videos those that are so little plain stay under 90.
"""

_PATCHED = 0.12
"""Share of another picture in a frame from which it is a wipe."""

_SHUT, _OPEN = 0.15, 0.5
"""How open the eyes of a frame are at most that are shut, and those of a video at least where that is an exception."""

_BLURRED, _DULL_BLURRED, _FURTHER_BLURRED = 0.58, 0.52, 0.22
"""
Blur extent from which a frame is blurred, and from which if it has little detail too; and by how much it must exceed
that of the video's sharper frames.
"""

_CLOSE, _IN_FOCUS = 0.4, 0.35
"""
Height of a face over the picture's shorter side from which it is what a frame shows, and focus inside it that shows it
sharp: faces of that size have 0.36 to 0.61 in the graded clips, blurred by 1.5 pixels of 480 mostly under 0.32.
"""

_NO_SHARPER: frozenset[RejectionKind] = frozenset({"blurry", "eyes", "frozen"})
_NO_PICTURE: frozenset[RejectionKind] = frozenset({"dark", "flat", "card", "broken"})
"""Kinds of defects with which a frame is no sharper and no richer in contrast than the picture is; and without one."""


@dataclass(frozen=True, slots=True)
class Defect:
    """A reason not to use a frame."""

    kind: RejectionKind
    reason: str


def find_defect(signals: Signals, clip: Clip, *, broken: bool) -> Defect | None:
    """Name the first hard reason against a frame, gravest first, or None when it is clean."""
    if signals.get("unsafe", 0.0) >= REJECT_FROM:
        return Defect("unsafe", f"the safety check calls the frame unsafe ({signals['unsafe']:.2f})")
    if broken:
        return Defect("broken", "the data of this frame, or of one it builds on, is damaged")
    if signals.get("streaks", 0.0) > _STREAKED:
        return Defect("broken", "the frame is smeared: the data around it is damaged")
    return (
        _find_wrong_light(signals, clip)
        or _find_card(signals, clip)
        or _find_mixture(signals, clip)
        or _find_worse_of_view(signals)
        or _find_worse_of_video(signals, clip)
    )


def _find_wrong_light(signals: Signals, clip: Clip) -> Defect | None:
    """Name what has too little or too much light, or shows nothing but one plain colour."""
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
    glaring = clip.shaded < _SHADED and signals["bright_share"] > max(_GLARING, clip.shaded + _SHADED)
    if glaring and signals["blur_extent"] > LETTERED and not is_on_white(signals):
        return Defect(
            "bright", f"{signals['bright_share']:.0%} of the frame is nearly white, others of this video are not"
        )
    if signals.get("twin_glare", 0.0) > 0.05 and signals.get("twin_lift", 0.0) > 0.05:
        return Defect("bright", "the frame is over-exposed: the same view is less blown out elsewhere in this video")
    if signals.get("brightened", 0.0) > 0:
        return Defect("bright", "the frame is brightened: the same view has its shadows elsewhere in this video")
    if signals["flat_share"] > 0.97 and signals["entropy"] < 1.5 and signals["contrast"] < 0.06:
        return Defect("flat", f"{signals['flat_share']:.0%} of the frame is plain")
    return None


def _find_card(signals: Signals, clip: Clip) -> Defect | None:
    """
    Name drawn pictures where filmed ones exist: screen recordings and drawn films are made of the like throughout.

    Thresholds from the judged clips (at most 0.83 of one colour and 0.97 ruled in frames of filmed clips that judges
    accepted, neighbours alike above 0.69 in all) and from drawn cards (0.91, 0.99, and 0.16 for noise).
    """
    if signals.get("likeness_of_neighbours", 1.0) < 0.45:
        return Defect("flat", "the frame is nothing but noise")
    # A video of cards with a few filmed frames is still better shown by those.
    if signals.get("one_colour", 0.0) > ONE_COLOUR and clip.plain < 0.75:
        return Defect("card", f"{signals['one_colour']:.0%} of the frame is one colour: a title, logo or credits")
    return _find_test_card(signals, clip) or _find_letters(signals, clip)


def _find_test_card(signals: Signals, clip: Clip) -> Defect | None:
    """Name what is made of bars, straight lines and pure colours."""
    if signals.get("ruled", 0.0) > 0.985 and signals["flat_share"] > 0.9 and clip.flat < 0.85:
        return Defect("card", "the frame is made of bars: a test card")
    # Pure colours without grain: the judged frames stay under 160, the test patterns reach 230.
    pure = signals["colourfulness"] > max(_PURE, clip.calm + _MUCH_PURER) and signals["noise"] < 0.05
    if pure and signals["flat_share"] > 0.7:
        return Defect("card", "the frame is made of plain pure colours: a test card")
    if signals["colourfulness"] > _EVERY_COLOUR and signals["flat_share"] < _NOWHERE_PLAIN:
        return Defect("card", "the frame holds all colours alike: a test card")
    straight = signals.get("straight", 0.0)
    if clip.is_filmed and straight > 0.5 and signals["colourfulness"] > max(_GRAINY_BARS, clip.calm + _MUCH_PURER):
        return Defect("card", "the frame is made of bars in pure colours: a test card")
    # The judged frames of grade 2 and more stay under 0.62; grain and grids do not hide it.
    crisp = signals["blur_extent"] < LETTERED and clip.is_filmed
    drawn = straight > (0.65 if crisp else 0.75 if signals["colourfulness"] > 85 else 0.8)
    if (drawn or (_is_of_coloured_bars(signals) and clip.is_filmed)) and clip.grown < 0.6:
        return Defect("card", "the frame is made of straight lines and bars: a test card or a table")
    return None


def _find_letters(signals: Signals, clip: Clip) -> Defect | None:
    """Name what is full of text, read or told by how sharp letters are where the video is filmed."""
    blur_extent = signals["blur_extent"]
    # A view that is softer elsewhere in the video is filmed, however sharp it is here.
    if clip.is_filmed and blur_extent < _DRAWN and signals.get("twin_blur", 0.0) < FILMED:
        return Defect("card", "the frame is sharper than anything that is filmed: letters or a drawing")
    is_ground = signals.get("one_colour", 0.0) > _GROUND and signals["flat_share"] > 0.8
    if clip.is_filmed and blur_extent < LETTERED and is_ground and clip.plain < 0.75:
        return Defect("card", "the frame is letters or a drawing on one colour, others of this video are not")
    if "text_lines" not in signals and blur_extent < clip.lettered:
        return Defect("card", "the frame looks like those of this video that are full of text")
    if is_wordy(signals, clip.wordless):
        return Defect("card", f"the frame shows {signals['text_lines']:.0f} lines of text: credits or a table")
    return None


def _is_of_coloured_bars(signals: Signals) -> bool:
    """
    Tell whether a frame is made of plain colours without grain whose borders run straight for the most part.

    Over the bars of a test card there are often a name and a clock, and letters are not straight. Of 850 frames of 85
    videos only ones of test patterns meet all of this; bars with boxes over them have 104 to 250 and 0.57 or more.
    """
    pure = signals["colourfulness"] > _BARS_COLOURED and signals["noise"] < 0.05
    plain = signals["flat_share"] > 0.8 and signals.get("one_colour", 0.0) < 0.6
    return pure and plain and signals.get("straight", 0.0) > 0.55


def _find_mixture(signals: Signals, clip: Clip) -> Defect | None:
    """Name a frame that is not one picture: a fade, a dissolve or a wipe."""
    if signals.get("lowlights", 0.0) > _PALE and clip.pale < _DEEP and signals["flat_share"] < 0.86:
        return Defect(
            "transition", "nothing in the frame is dark: it is faded or washed out, others of this video are not"
        )
    if clip.is_filmed and (_is_noisy(signals, clip) or _is_specked(signals, clip)):
        return Defect("transition", "pixels of two pictures are mixed in the frame: a dissolve, or noise laid over it")
    if is_blend(signals):
        return Defect("transition", "the frame is a mixture of what comes before and after: a fade or dissolve")
    if mixes(signals, 0.2):
        return Defect("transition", "the frame is a mixture of an earlier and a later picture: a fade or dissolve")
    if signals.get("patched", 0.0) > _PATCHED > clip.whole:
        return Defect("transition", "the frame is an earlier picture in one part and a later one in another: a wipe")
    return None


def _is_noisy(signals: Signals, clip: Clip) -> bool:
    """Tell whether a frame has far more noise than its video and what is around it, and not that of grown things."""
    usual = max(_MUCH_MORE_NOISE * clip.quiet, _MORE_NOISE * signals.get("twin_noise", 0.0))
    least, most = _GROWN_SPECKS
    return signals["noise"] > max(_SPECKLED, usual) and not least < signals["specks"] < most


def _is_specked(signals: Signals, clip: Clip) -> bool:
    """
    Tell whether a frame has far more specks than its video and, unless they are many, than what is around it.

    Not where it has no more noise than its video.
    """
    around = min(_MORE_SPECKS * signals.get("twin_specks", 0.0), _MANY_SPECKS)
    enough = signals["specks"] > max(_SPECKS, _MUCH_MORE_SPECKS * clip.unspecked, around)
    return enough and signals["noise"] > _NOISIER * clip.quiet


def _find_worse_of_view(signals: Signals) -> Defect | None:
    """Name what is blurred or faded beside a picture of the same view (company.py)."""
    if signals.get("twin_sharpness", 1.0) < 0.75 and signals.get("twin_softening", 0.0) > 0.05:
        return Defect("blurry", "the same view is sharper elsewhere in this video")
    if is_smoothed(signals):
        return Defect("blurry", "most of the frame has lost its fine detail beside a like one of this video")
    if signals.get("light_left", 1.0) < _DIMMED:
        return Defect("transition", "the same view has more light and contrast elsewhere in this video, as in a fade")
    return None


def _find_worse_of_video(signals: Signals, clip: Clip) -> Defect | None:
    """Name what is blurred, faded, blinking or frozen as the better frames of its video, of whatever view, are not."""
    dull = signals["detail"] < 0.5 * clip.detailed
    blurred = _find_blur(signals, clip, dull=dull)
    if blurred is not None:
        return blurred
    # With neighbours at hand, a fade shows in them; a hazy sky is as pale and changes nothing.
    fades = signals.get("fading", 1.0) > 0.05 or signals.get("light_change", 99.0) > 6.0
    if signals["contrast"] < 0.35 * clip.contrasty and dull and fades:
        return Defect("transition", "the frame is washed out beside others of this video, as in a fade")
    if _eyes_are_shut(signals) and clip.eyes > _OPEN:
        return Defect("eyes", "the eyes of the face are shut")
    if signals.get("stillness", 0.0) > 0.9 and (
        clip.moving > 0.7
        or (signals.get("held", 0.0) > 0 and clip.lively > 0.7 and min(signals["flat_share"], clip.paged) < PAGE)
    ):
        return Defect("frozen", "the picture is frozen, the video otherwise moves")
    return None


def _find_blur(signals: Signals, clip: Clip, *, dull: bool) -> Defect | None:
    """Name a blur that shows beside other views of the video only."""
    if shows_face_in_focus(signals):
        return None
    # A calm picture has little detail too, but loses much by a further blur: of 46 blurred planted frames that meet the
    # other two conditions all exceed 0.52, of 185 clean ones 96.
    if signals["sharpness"] < 0.3 * clip.sharp and signals["blur_extent"] > (_DULL_BLURRED if dull else _BLURRED):
        return Defect("blurry", "the frame is far less sharp than others of this video")
    if signals["blur_extent"] > max(_BLURRED, clip.focused + _FURTHER_BLURRED):
        return Defect("blurry", "the frame is out of focus, others of this video are not")
    return None


def shows_face_in_focus(signals: Signals) -> bool:
    """
    Tell whether a frame is a close view of a face that is sharp itself.

    Skin has no fine detail and what is behind it is mostly soft, so beside wide views it seems blurred.
    """
    return signals.get("face_closeness", 0.0) > _CLOSE and signals.get("face_focus", 0.0) > _IN_FOCUS


def _eyes_are_shut(signals: Signals) -> bool:
    """Of 14 such frames in the judged clips, judges called 13 unusable and one weak."""
    seen = signals.get("faces", 0.0) > 0 and signals.get("face_size", 0.0) > 0.08
    return seen and signals.get("eyes_open", 1.0) < _SHUT


def norms_of(every: Sequence[Signals], broken: Sequence[bool]) -> Clip:
    """
    Say what is normal in a video: what is rejected for one reason is no measure by which others are rejected.

    Letters, bars and glare have more sharpness and contrast than a picture, and beside black and title cards a picture
    with much white in it is no exception.
    """
    clip = Clip.of([signals for signals, damaged in zip(every, broken, strict=True) if not damaged] or every[:1])
    found = [find_defect(signals, clip, broken=damaged) for signals, damaged in zip(every, broken, strict=True)]
    kinds = [(signals, None if defect is None else defect.kind) for signals, defect in zip(every, found, strict=True)]
    return clip.measured_by(
        better=[signals for signals, kind in kinds if kind is None or kind in _NO_SHARPER],
        usual=[signals for signals, kind in kinds if kind not in _NO_PICTURE],
    )


def wreckage(signals: Signals) -> float:
    """Rank broken frames: errors met, and ten of them for a picture that is smeared all over. 0 for an intact frame."""
    return signals["damage"] + 10.0 * signals.get("streaks", 0.0)
