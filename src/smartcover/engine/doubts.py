"""What may be wrong with a frame and is too uncertain for a rejection: it costs some of the score."""

from __future__ import annotations

from smartcover.engine.frame_kinds import is_on_white, is_smoothed, may_mix, mixes
from smartcover.engine.norms import Clip
from smartcover.engine.types import Signals

_DOUBT_OF_LINE, _DOUBT_OF_MIXTURE, _DOUBT_OF_BLUR, _DOUBT_OF_LIGHT, _DOUBT_OF_SEAM = 0.1, 0.15, 0.2, 0.35, 0.35
"""
What each of two lines of text beyond the usual costs of a score, what may be the end of a fade or dissolve, what is as
soft as frames of the video that are known to be blurred, what may be over-exposed, and two pictures side by side.
"""

_SEAM = 0.6
"""
Share of a line from side to side along which a border must run that may be that of two pictures of which one slides in,
if no other moment of the video has one there: of 2,219 moments of real videos 16 are so, drawings and screens mostly,
where it is looked for up to 0.06 of the edges.
"""

_BURNT, _DRAWN_LIGHT, _UNBURNT = 0.12, 0.6, 0.05
"""
Shares of cut off light: a frame between the first two may be over-exposed, if two fifths of its video are under the
third. Beyond the second are drawings in pure colours.
"""

_BRIGHTER_AND_POORER = (0.35, 0.5), (0.25, 1.0)
"""
How much more light a frame has than two fifths of its video's, and how much less entropy than half of them, that may be
over-exposed. With black frames and cards among those: so are 49 of 103 such moments that no rule rejects, no clean one
of 17,626 of the seventh suite (docs/planted-defects.md) but ones before a white ground, and three of 4,139 of real
videos.
"""


def doubt(signals: Signals, clip: Clip) -> float:
    """
    Say what a frame loses of its score, 0 to 0.9, for what may be a defect and is too uncertain for a rejection.

    Where a page is shown, text is what the video is about and costs nothing.
    """
    result = 0.0
    if signals.get("text_share", 0.0) > 0.05 and signals.get("one_colour", 0.0) < 0.5:
        result += _DOUBT_OF_LINE * min(2.0, max(0.0, signals["text_lines"] - clip.wordless))
    if mixes(signals, 0.1) or may_mix(signals):
        result += _DOUBT_OF_MIXTURE
    # A frame that a blurred one was told by is the better one of its view.
    if signals["blur_extent"] >= clip.smeared and not is_smoothed(signals, "twin_smoothed"):
        result += _DOUBT_OF_BLUR
    if _may_be_over_exposed(signals, clip):
        result += _DOUBT_OF_LIGHT
    if signals["seam"] > _SEAM and signals.get("seams_elsewhere", 1.0) < 1:
        result += _DOUBT_OF_SEAM
    return min(0.9, result)


def _may_be_over_exposed(signals: Signals, clip: Clip) -> bool:
    """Tell whether light may be cut off, at full or, where most tones have become one, anywhere below."""
    if _BURNT < signals["cut_off_share"] < _DRAWN_LIGHT and clip.unburnt < _UNBURNT:
        return True
    brighter, poorer = signals["brightness"] - clip.lit, clip.varied - signals["entropy"]
    has_lost_tones = any(brighter > light and poorer > tones for light, tones in _BRIGHTER_AND_POORER)
    return has_lost_tones and not is_on_white(signals)
