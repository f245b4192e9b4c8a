"""A chosen look to a cover: decode it again at full size, turn, cut, size and encode it, and say what it shows."""

from __future__ import annotations

import numpy as np

from smartcover.engine.arrays import Picture
from smartcover.engine.blockiness import blockiness
from smartcover.engine.colour import ColourConverter
from smartcover.engine.cropping import Subject
from smartcover.engine.decode import Decoded
from smartcover.engine.filters import deinterlace
from smartcover.engine.framing import framing
from smartcover.engine.geometry import Box, square_pixel_size
from smartcover.engine.looking import Looker
from smartcover.engine.looks import Look
from smartcover.engine.render import encode, render
from smartcover.engine.scoring import Score
from smartcover.engine.study import Studied
from smartcover.engine.types import Cover, CoverOptions

_BLOCKS_SEEN_PX = 480
"""Side of the part of a cover in which blocks of compression are looked for; they are the same all over."""


def make_cover(
    looker: Looker,
    entry: Studied,
    score: Score,
    options: CoverOptions,
    *,
    converter: ColourConverter,
    content: Box | None,
) -> Cover | None:
    """
    Make the cover of a look; None if its packets do not decode again.

    Args:
        content: The part of the picture to keep, in shares of it; None keeps all.
    """
    decoded = _decode_again(looker, entry.look)
    looker.decoder.rest()
    if decoded is None:
        return None
    frame = deinterlace(decoded.frame) if looker.facts.is_interlaced(decoded.frame) else decoded.frame
    orientation = looker.facts.orientation_of(decoded.frame)
    picture = converter.full(frame, orientation)
    square = orientation.swap(square_pixel_size(frame.width, frame.height, decoded.pixel_aspect))
    pts = decoded.pts
    # The decoded frame of an 8K video is 50 MB; it is not needed while the cover is resized and encoded.
    del decoded, frame
    signals = {**entry.signals, **_described(entry, picture)}
    subject = Subject(_shares(entry), entry.recognised)
    if content is not None:
        picture, square = _cut(picture, square, content)
        subject = subject.within(content)
    image = render(picture, square, options, subject)
    return Cover(
        image=encode(image, options.format, options.quality),
        format=options.format,
        width_px=image.shape[1],
        height_px=image.shape[0],
        seconds=entry.look.seconds,
        pts=pts,
        score=min(1.0, max(0.0, score.value)),
        signals=signals,
        reasons=score.reasons,
    )


def _decode_again(looker: Looker, look: Look) -> Decoded | None:
    """Decode a look's packets again and give the frame of its time stamp, or the nearest."""
    if look.frame is not None:
        return Decoded(look.frame, look.pts, look.damage, look.pixel_aspect)
    # The two fields of an interlaced frame may be packets of their own.
    shortest = look.run if looker.facts.interlaced else look.run.up_to(look.pts)
    # What is lost of a damaged frame is taken from the one decoded before it, whichever that is.
    intact = not (look.damage or look.suspect)
    nearest: Decoded | None = None
    for run in dict.fromkeys((shortest, look.run)):
        sparsely = intact and run is not look.run
        for decoded in looker.decoder.decode(run, finely=True, sparsely=sparsely, wanted=look.pts):
            if decoded.pts == look.pts and (run == look.run or not decoded.frame.interlaced_frame):
                return decoded
            if run is look.run and (nearest is None or abs(decoded.pts - look.pts) < abs(nearest.pts - look.pts)):
                nearest = decoded
            del decoded  # a frame of 4K takes 25 MB and more, and the next is decoded beside it
    return nearest


def _shares(entry: Studied) -> tuple[Box, ...]:
    rows, columns = entry.look.picture.shape[:2]
    return tuple(face.box.scaled(1 / columns, 1 / rows) for face in entry.faces or ())


def _described(entry: Studied, picture: Picture) -> dict[str, float]:
    """Tell of a cover what has no weight in its choice (docs/quality.md): its framing, and blocks of compression."""
    framed = framing(entry.look.picture)
    rows, columns = (max(0, side - _BLOCKS_SEEN_PX) // 2 for side in picture.shape[:2])
    middle = picture[rows : rows + _BLOCKS_SEEN_PX, columns : columns + _BLOCKS_SEEN_PX]
    return {
        "thirds": framed.thirds,
        "cut_off": framed.cut_off,
        "subject_contrast": framed.subject_contrast,
        "subject_sharpness": framed.subject_sharpness,
        "blockiness": blockiness(np.ascontiguousarray(middle)),
    }


def _cut(picture: Picture, square: tuple[int, int], content: Box) -> tuple[Picture, tuple[int, int]]:
    """Keep only the content box (in shares) of a picture."""
    rows, columns = picture.shape[:2]
    top, bottom = round(content.top * rows), max(1, round(content.bottom * rows))
    left, right = round(content.left * columns), max(1, round(content.right * columns))
    cut_square = max(1, round(square[0] * content.width)), max(1, round(square[1] * content.height))
    return np.ascontiguousarray(picture[top:bottom, left:right]), cut_square
