"""
Fit the weights of the score and say how well they do on clips kept apart.

    python -m benchmarks.quality.fit ../shared/data [--hold] [--write]

With --hold the weights that the engine holds stay as they are, but for those of `appeal`: for when only some of the
clips that they were fitted on are at hand. With --write the weights go into the engine (weights.json and appeal.json
of src/smartcover/engine).
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

import smartcover.engine
from benchmarks.quality.appeal import PENALTY, read_apart
from benchmarks.quality.features import GradedClip, graded_clips
from benchmarks.quality.measures import HEADER, measure
from benchmarks.quality.model import RIDGE, SIGNALS, Fitted, Key, cross_validated, fit_all, folds, of_engine
from smartcover.engine.scoring import MEANINGS

_HELD = "; the weights of other signals than appeal from 186 judged clips, 3711 frames"
BASELINES = ("sharpness", "colourfulness", "detail", "centre_detail", "face_sharpness")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.strip().splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--cache", type=Path, default=Path(tempfile.gettempdir()) / "smartcover-quality")
    parser.add_argument("--hold", action="store_true")
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    clips = graded_clips(arguments.data, arguments.cache)
    held = _all_but_appeal() if arguments.hold else None
    report(clips, held)
    if arguments.write:
        write(clips, held)


def report(clips: list[GradedClip], held: Fitted | None = None) -> None:
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
    appeals = [np.array([frame["appeal"] for frame in clip.signals]) for clip in read_apart(clips)]
    print(measure(grades, appeals).row("appeal alone, owners kept apart"))
    parts = folds(clips)

    def row(name: str, signals: Sequence[Key] = SIGNALS, ridge: float = RIDGE) -> None:
        by_name = cross_validated(parts, signals, ridge, held)
        print(measure(grades, [by_name[clip.clip.name] for clip in clips]).row(name))

    for ridge in (RIDGE / 10, RIDGE / 3, RIDGE, 3 * RIDGE):
        row(f"fitted, owners kept apart, ridge {ridge:.2g} a frame", ridge=ridge)
    if held is None:
        for key in SIGNALS:
            row(f"the same without {key[1]} of a {key[0]}", [other for other in SIGNALS if other != key])


def _all_but_appeal() -> Fitted:
    engine = of_engine()
    kept = {key: weight for key, weight in engine.weights.items() if key[1] != "appeal"}
    return Fitted(kept, {key: engine.spreads[key] for key in kept})


def write(clips: list[GradedClip], held: Fitted | None = None) -> None:
    fitted = fit_all(clips, held)
    assert fitted.appeal is not None
    source = f"{len(clips)} judged clips, {sum(len(clip.grades) for clip in clips)} frames"
    made = {"made_by": f"python -m benchmarks.quality.fit DATA {'--hold ' if held else ''}--write"}
    readings = {
        **made,
        "from": f"{source}, ridge {PENALTY:g} a frame",
        "meaning": "value of the network's stages (engine/embedding.py) times weight, in grades",
        "weights": [float(f"{weight:.4g}") for weight in fitted.appeal],
    }
    _write("appeal.json", readings)
    document = {
        **made,
        "from": f"{source}, ridge {RIDGE:g} a frame" + (_HELD if held else ""),
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
    _write("weights.json", document)


def _write(name: str, document: Mapping[str, object]) -> None:
    path = Path(smartcover.engine.__path__[0]) / name
    path.write_text(json.dumps(document, indent=2) + "\n", "utf-8")
    print(f"wrote {path}")


if __name__ == "__main__":
    main()
