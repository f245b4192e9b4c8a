"""
Fit the weights of the score and say how well they do on clips kept apart.

    python -m benchmarks.quality.fit ../shared/data [--write]

With --write the weights go into the engine (src/smartcover/engine/weights.json).
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

import numpy as np

import smartcover.engine
from benchmarks.quality.features import GradedClip, graded_clips
from benchmarks.quality.measures import HEADER, measure
from benchmarks.quality.model import RIDGE, SIGNALS, cross_validated, fit, scores
from smartcover.engine.scoring import MEANINGS

BASELINES = ("sharpness", "colourfulness", "detail", "centre_detail", "face_sharpness")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.strip().splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--cache", type=Path, default=Path(tempfile.gettempdir()) / "smartcover-quality")
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    clips = graded_clips(arguments.data, arguments.cache)
    report(clips)
    if arguments.write:
        write(clips)


def report(clips: list[GradedClip]) -> None:
    grades = [clip.grades for clip in clips]
    print(f"{len(clips)} clips, {sum(len(grade) for grade in grades)} frames\n\n{HEADER}")
    random = np.mean([grade.mean() for grade in grades])
    middle = [-np.abs(np.arange(len(grade)) - (len(grade) - 1) / 2) for grade in grades]
    print(f"| any frame (mean of all) | {random:.2f} | | | | |")
    print(measure(grades, middle).row("middle frame"))
    twice = [clip.clip.grades for clip in clips if len(clip.clip.grades) > 1]
    print(measure([grades[1] for grades in twice], [grades[0] for grades in twice]).row("judge 1 by judge 2"))
    for signal in BASELINES:
        single = [np.array([frame.get(signal, 0.0) for frame in clip.signals]) for clip in clips]
        print(measure(grades, single).row(f"{signal} alone"))
    print(measure(grades, [scores(clip, fit(clips)) for clip in clips]).row("fitted, same clips"))
    for ridge in (30.0, 100.0, 300.0, RIDGE, 3000.0):
        print(measure(grades, cross_validated(clips, ridge=ridge)).row(f"fitted, sources kept apart, ridge {ridge:g}"))
    for key in SIGNALS:
        others = [other for other in SIGNALS if other != key]
        print(measure(grades, cross_validated(clips, others)).row(f"the same without {key[1]} of a {key[0]}"))


def write(clips: list[GradedClip]) -> None:
    fitted = fit(clips)
    document = {
        "made_by": "python -m benchmarks.quality.fit DATA --write",
        "from": f"{len(clips)} judged clips, {sum(len(clip.grades) for clip in clips)} frames, ridge {RIDGE:g}",
        "meaning": "level (engine/scoring.py) times weight; spread is the signal's usual deviation within a video",
        "terms": {
            of: {
                signal: {
                    "weight": round(fitted.weights[of, signal], 4),
                    "spread": float(f"{fitted.spreads[of, signal]:.4g}"),
                }
                for signal in signals
            }
            for of, signals in MEANINGS.items()
        },
    }
    path = Path(smartcover.engine.__path__[0]) / "weights.json"
    path.write_text(json.dumps(document, indent=2) + "\n", "utf-8")
    print(f"\nwrote {path}")


if __name__ == "__main__":
    main()
