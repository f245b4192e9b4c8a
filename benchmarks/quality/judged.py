"""
Judged clips: grades of frames by several judges, and those frames decoded.

The folder given must hold `judgements/dev.jsonl` (its README says what the fields mean) and `videos/dev/`. Beside it,
`own_grades.jsonl` of this folder is read: more clips, from public packages (`from` says which file of which one) and of
the same collection, graded in the same way by authors of this project: one to three readings of each, made apart. Clips
that are not there are left out.
Decoded frames are kept in a cache folder, because decoding takes a minute and fitting a second.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt

from smartcover.engine.colour import ColourConverter
from smartcover.engine.facts import orientation_of
from smartcover.engine.geometry import Orientation, fit_within, square_pixel_size
from smartcover.engine.looking import GLANCE_SIZE, LOOK_LONGEST_PX
from smartcover.engine.looks import Look, neighbours_of
from smartcover.engine.runs import Run

UNUSABLE = 0.5
"""A mean grade up to this is a frame that at least one judge called unusable and none better than weak."""

_CUT = 25.0
"""Mean change of two neighbouring glances from which a cut lies between them."""


@dataclass(frozen=True, slots=True, eq=False)
class JudgedClip:
    """One clip. `seconds` count from its first frame; `grades` are (judges, frames), 0 to 3."""

    path: Path
    seconds: tuple[float, ...]
    grades: npt.NDArray[np.float64]

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def source(self) -> str:
        """Whose clip it is; clips of one owner are kept together when some are kept apart."""
        return self.name.split("__")[0]

    @property
    def mean_grades(self) -> npt.NDArray[np.float64]:
        mean: npt.NDArray[np.float64] = self.grades.mean(axis=0)
        return mean


def read_clips(data: Path) -> list[JudgedClip]:
    """Read the judged clips whose files are there, in order of the lists."""
    clips = []
    lists = (data / "judgements" / "dev.jsonl", Path(__file__).with_name("own_grades.jsonl"))
    for line in (line for one in lists for line in one.read_text("utf-8").splitlines()):
        entry = json.loads(line)
        path = data / "videos" / "dev" / entry["clip"]
        if path.exists():
            clips.append(JudgedClip(path, tuple(entry["times"]), np.array(entry["grades"], dtype=float)))
    return clips


@dataclass(frozen=True, slots=True, eq=False)
class Frames:
    """A clip decoded: glances of all its frames, and pictures of some."""

    seconds: npt.NDArray[np.float64]
    glances: npt.NDArray[np.uint8]
    pictures: dict[int, npt.NDArray[np.uint8]]
    orientation: Orientation

    def nearest(self, seconds: float) -> int:
        return int(np.argmin(np.abs(self.seconds - seconds)))

    def look(self, place: int) -> Look:
        """Give a frame as the engine would have looked at it within a run of frames."""
        trail = [(float(second), glance) for second, glance in zip(self.seconds, self.glances, strict=True)]
        return Look(
            pts=_exact(self.seconds[place]),
            seconds=float(self.seconds[place]),
            picture=self.pictures[place],
            glance=self.glances[place],
            damage=0,
            suspect=False,
            run=Run((), Fraction(0)),
            neighbours=tuple(neighbours_of(trail, place)),
        )

    def cut_between(self, one: int, other: int) -> bool:
        low, high = sorted((one, other))
        stretch = self.glances[low : high + 1].astype(np.int16)
        return len(stretch) > 1 and bool(np.abs(np.diff(stretch, axis=0)).mean(axis=(1, 2, 3)).max() > _CUT)


def decoded(clip: JudgedClip, cache: Path) -> Frames:
    """Decode a clip's judged frames, or read them from the cache."""
    kept = cache / f"{clip.name}.npz"
    if not kept.exists():
        cache.mkdir(parents=True, exist_ok=True)
        frames = _decode(clip.path, clip.seconds)
        turn = frames.orientation
        places = sorted(frames.pictures)
        np.savez(
            kept,
            seconds=frames.seconds,
            glances=frames.glances,
            places=places,
            pictures=np.stack([frames.pictures[place] for place in places]),
            orientation=[turn.transpose, turn.flip_x, turn.flip_y],
        )
    with np.load(kept) as held:
        pictures = dict(zip((int(place) for place in held["places"]), held["pictures"], strict=True))
        turn = Orientation(*(bool(value) for value in held["orientation"]))
        return Frames(held["seconds"], held["glances"], pictures, turn)


def _decode(path: Path, wanted: Sequence[float]) -> Frames:
    """Decode twice: first to learn when the frames are, then to convert only those that are wanted."""
    converter = ColourConverter()
    glances, seconds = [], []
    for frame, _aspect in _frames(path):
        assert frame.pts is not None and frame.time_base is not None
        seconds.append(float(frame.pts * frame.time_base))
        glances.append(converter.glance(frame, GLANCE_SIZE))
    times = np.array(seconds) - seconds[0]
    places = {int(np.argmin(np.abs(times - second))) for second in wanted}
    pictures, orientation = {}, Orientation()
    for place, (frame, aspect) in enumerate(_frames(path)):
        if place in places:
            orientation = orientation_of(frame)
            square = square_pixel_size(frame.width, frame.height, aspect)
            pictures[place] = orientation.apply(converter.small(frame, fit_within(square, LOOK_LONGEST_PX)))
    return Frames(times, np.stack(glances), pictures, orientation)


def _frames(path: Path) -> Iterator[tuple[av.VideoFrame, Fraction | None]]:
    with av.open(str(path), metadata_errors="replace") as container:
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        try:
            for frame in container.decode(stream):
                if frame.pts is not None and frame.time_base is not None:
                    yield frame, stream.sample_aspect_ratio
        except av.error.FFmpegError as error:
            print(f"{path.name}: {error}")


def _exact(seconds: float) -> Fraction:
    return Fraction(seconds).limit_denominator(1_000_000)
