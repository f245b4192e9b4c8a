"""
Grade the product's own covers: each counts as the judged frame nearest in time within the same shot.

    python -m benchmarks.quality.picks ../shared/data [--kept-apart]

The weights are those that the engine holds. With --kept-apart each clip is picked with weights fitted without any clip
of its source, which is the honest number.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import av
import numpy as np

from benchmarks.quality.features import GradedClip, graded_clips
from benchmarks.quality.judged import UNUSABLE, Frames, JudgedClip, decoded
from benchmarks.quality.measures import bootstrap
from benchmarks.quality.model import Fitted, fit_all
from smartcover.engine import CoverOptions, Limits, appeal, pick_covers, scoring

_COUNT = 3


@dataclass(frozen=True, slots=True)
class Graded:
    """The grades of one clip's covers, in order, with their times."""

    clip: str
    seconds: tuple[float, ...]
    grades: tuple[float, ...]
    best: float
    took_seconds: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.strip().splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--cache", type=Path, default=Path(tempfile.gettempdir()) / "smartcover-quality")
    parser.add_argument("--kept-apart", action="store_true")
    arguments = parser.parse_args()
    clips = graded_clips(arguments.data, arguments.cache)
    results = [
        grade(clip.clip, decoded(clip.clip, arguments.cache), fitted)
        for clip, fitted in _with_weights(clips, arguments.kept_apart)
    ]
    report(results)


def grade(clip: JudgedClip, frames: Frames, fitted: Fitted | None) -> Graded:
    """Pick covers of a clip and look their grades up."""
    started = time.perf_counter()
    with scoring_with(fitted):
        picks = pick_covers(clip.path, CoverOptions(count=_COUNT), limits=Limits(seconds=300))
    took = time.perf_counter() - started
    start = picks.covers[0].seconds - float(picks.covers[0].pts) if picks.covers else 0.0
    first_shown = start + _first_pts(clip.path)
    seconds = tuple(cover.seconds - first_shown for cover in picks.covers)
    grades = tuple(grade_at(clip, frames, second) for second in seconds)
    return Graded(clip.name, seconds, grades, float(clip.mean_grades.max()), took)


def grade_at(clip: JudgedClip, frames: Frames, seconds: float) -> float:
    """Give the mean grade of the judged frame nearest in time with no cut between; of the nearest if all have one."""
    place = frames.nearest(seconds)
    judged = [frames.nearest(second) for second in clip.seconds]
    order = sorted(range(len(judged)), key=lambda index: abs(clip.seconds[index] - seconds))
    near = next((index for index in order if not frames.cut_between(place, judged[index])), order[0])
    return float(clip.mean_grades[near])


def report(results: Sequence[Graded]) -> None:
    for result in results:
        shown = ", ".join(
            f"{grade:g} at {second:.2f}" for grade, second in zip(result.grades, result.seconds, strict=True)
        )
        print(f"{result.clip}: {shown} (best {result.best:g}; {result.took_seconds:.1f} s)")
    first = np.array([result.grades[0] for result in results])
    low, high = bootstrap(first, np.mean)
    three = np.mean([np.mean(result.grades) for result in results])
    print(
        f"\n{len(results)} clips: first cover {first.mean():.2f} ({low:.2f}-{high:.2f}), "
        f"unusable {(first <= UNUSABLE).mean():.1%}, all covers {three:.2f}"
    )


def _with_weights(clips: list[GradedClip], kept_apart: bool) -> Iterator[tuple[GradedClip, Fitted | None]]:
    for clip in clips:
        others = [other for other in clips if other.clip.source != clip.clip.source]
        yield clip, fit_all(others) if kept_apart else None


@contextmanager
def scoring_with(fitted: Fitted | None) -> Iterator[None]:
    """Let the engine score with other weights for a while."""
    if fitted is None:
        yield
        return
    terms = tuple(
        scoring.Term(signal, weight, fitted.spreads[of, signal], scoring.MEANINGS[of][signal][1], of)
        for (of, signal), weight in fitted.weights.items()
    )
    weights = appeal.fitted_weights() if fitted.appeal is None else fitted.appeal.astype(np.float32)
    with (
        mock.patch.object(scoring, "fitted_terms", lambda: terms),
        mock.patch.object(appeal, "fitted_weights", lambda: weights),
    ):
        yield


def _first_pts(path: Path) -> float:
    """Time stamp of the first frame: the judges' times count from it."""
    with av.open(str(path), metadata_errors="replace") as container:
        frame = next(container.decode(video=0))
        assert frame.pts is not None and frame.time_base is not None
        return float(frame.pts * frame.time_base)


if __name__ == "__main__":
    main()
