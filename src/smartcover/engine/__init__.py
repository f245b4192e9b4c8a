"""
A video in, the best covers out.

Importing this package is cheap: the decoder, numpy and the model runtime are imported by the first call, or by
`preload()` in a process from which workers are forked.

What is where, to be read from the top; each module imports only what is named before it:

- Words: `types` of what is asked for and given back, `arrays` of what lies in memory, `geometry` of where pixels go;
  `budget` counts what a video has cost, `memory` says what of it stays with the process.
- Bytes to frames: `readers` give the bytes within the budget, `unreadable` says why they are no video, and with
  `alpha` for transparency `source` opens the container. With `clock` for streams without times and `headers` for those
  that change, `runs` of packets are read and `decode` makes frames of them. `index` knows where keyframes are.
- Frames to pixels: `filters` for one frame and `colour` to sRGB. `facts` is what is known of the video by then.
- Looking: `sampling` plans the moments, `looks` is what is kept of one, `looking` decodes them, small, and `gathering`
  carries the plan out.
- Networks: `sessions` opens them. `embedding` says what a picture shows and `appeal` how well; `safety` and
  `scorer_hook` are asked for by options. Of connected `regions`, `text` makes lines.
- Signals of a picture: `signals`, and `composition` of its middle, `cards` of what is drawn, `transitions` of another
  one in it, `moments` of what moves in it; `faces`, looked at closely by `landmarks`, as `portraits`. `study` puts them
  all together for one look.
- Moments beside each other: `glances` and `tones` compare two, `pairs` any two of a video. `frame_kinds` tells what the
  signals say of one, `norms` what is usual in the video, and `company` what each is beside the others; `defects` are
  what is never a cover without need, `doubts` what costs some of the score.
- The choice: `scoring`, evened out over time by `steadiness`; `selection` of a set, in which `reframing` finds one
  picture in another. `jury` asks them all, and `instants` has it choose among moments a fraction of a second apart.
- Covers: `letterbox` bars come off, `framing` finds the subject and `cropping` the window around it, `render` sizes and
  encodes; `blockiness` is told of a cover. `cover` makes one.
- `pick` runs the steps in order. `sheet` draws what came of them.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from smartcover.engine.types import (
    Cover,
    CoverOptions,
    Limits,
    Picks,
    PrefetchingReader,
    Rejection,
    SeekableReader,
    VideoInfo,
    check_type,
)

__all__ = [
    "Cover",
    "CoverOptions",
    "Limits",
    "Picks",
    "PrefetchingReader",
    "Rejection",
    "SeekableReader",
    "VideoInfo",
    "pick_covers",
    "preload",
]


def pick_covers(
    video: str | os.PathLike[str] | SeekableReader,
    options: CoverOptions = CoverOptions(),  # noqa: B008 - frozen, and the signature shows the defaults
    *,
    limits: Limits = Limits(),  # noqa: B008 - as above
    on_progress: Callable[[str, float], None] | None = None,
) -> Picks:
    """
    Choose the covers of a video, best first.

    There is a cover whenever one frame decodes; `Picks.fallback` says when rules had to be relaxed for it or time was
    left for fewer covers, and `Picks.unseen` which part of the video was not looked at. Several threads may call this
    at once.

    Args:
        video: A path, or a reader of bytes at positions.
        on_progress: Called with the step's name and the share of the whole that is done, 0 to 1.

    Raises:
        BadParameter: The cover's size would be beyond what is allowed for the shape of the video, the scorer cannot
            serve, or the safety network is not installed.
        NotAVideo: The file is missing, unreadable, or of no allowed format.
        NoVideoStream: It holds sound, subtitles or an attached picture only.
        NoFrames: No frame can be decoded.
        NoSafeFrame: The safety check held back every frame that could be a cover.
        VideoTooLarge: The picture has more pixels than `limits.max_pixels`.
        DecodeTimedOut: `limits.seconds` passed before a cover was ready.
        TypeError: An argument is of the wrong type, or the reader gives something else than bytes.
        ModuleNotFoundError: The engine's packages are not installed; the text says which extra brings them.
    """
    check_type("video", video, str | os.PathLike | SeekableReader, "a path, or a reader with read, seek and tell")
    check_type("options", options, CoverOptions, "a CoverOptions")
    check_type("limits", limits, Limits, "a Limits")
    try:
        from smartcover.engine import pick
    except ModuleNotFoundError as missing:
        text = f'pick_covers needs {missing.name}, which is not installed: pip install "smartcover[engine]"'
        raise ModuleNotFoundError(text, name=missing.name) from missing

    return pick.pick_covers(video, options, limits=limits, on_progress=on_progress)


def preload() -> None:
    """
    Import what `pick_covers` needs, for a process from which workers are forked, without starting a thread.

    A fork copies only the thread that called it, so a second one could leave a lock held for ever in every child.
    That is why the array library is held to one thread (set before its import), and why the model runtime, whose
    import starts a thread, is left to the children: it takes them some 20 ms.
    """
    os.putenv("OPENBLAS_NUM_THREADS", "1")
    import av
    import numpy
    import PIL.Image
    import simplejpeg

    from smartcover.engine import pick

    assert av and numpy and PIL.Image and simplejpeg and pick
