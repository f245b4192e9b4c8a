"""The faces of a picture as signals: present, sharp, turned to the viewer, with open eyes."""

from __future__ import annotations

import math
from collections.abc import Sequence

from smartcover.engine.arrays import Picture
from smartcover.engine.faces import Face, face_signals
from smartcover.engine.landmarks import MIN_PRESENCE, face_details
from smartcover.engine.sessions import DEFAULT_RUNTIME, Runtime
from smartcover.engine.types import Signals

NO_PORTRAIT: Signals = {
    "face_confidence": 0.0, "eyes_open": 0.0, "smile": 0.0, "open_eyes": 0.0, "open_smile": 0.0, "facing": 0.0,
}  # fmt: skip

PROMINENT = 0.12
"""Height of a face over the picture's from which its expression is what a viewer sees first."""

_UNSEEN = 0.5
"""What eyes and the way that a face looks count for where it is too small for them to be seen: the middle."""


def portrait_signals(picture: Picture, faces: Sequence[Face], runtime: Runtime = DEFAULT_RUNTIME) -> Signals:
    """
    Describe the faces of a picture, with a close look at the most prominent one.

    Beside the signals of `face_signals`: `face_confidence` of the surest face; `eyes_open` 1 for wide open eyes that
    look this way, less as they close or turn away, 0 without a face; `smile` 0..1; `upper_lip` (see `FaceDetails`).
    Where the face is too small for its eyes to be seen, these three are missing, and `upper_lip` without a face.
    `open_eyes`, `open_smile` and `facing` are what a viewer sees of it: less in a small face, the smile less with shut
    eyes; `facing` is 1 for a prominent face that is turned to the viewer.
    """
    signals = dict(face_signals(picture, faces))
    signals["face_confidence"] = max((face.confidence for face in faces), default=0.0)
    if not faces:
        return {**signals, **NO_PORTRAIT}
    details = face_details(picture, faces[0], runtime)
    if details is None:
        return {**signals, **_seen(signals["face_size"], _UNSEEN, 0.0)}
    if details.presence < MIN_PRESENCE:
        return {**face_signals(picture, ()), **NO_PORTRAIT}
    facing = max(0.0, math.cos(math.radians(details.yaw_degrees)))
    signals["eyes_open"], signals["smile"] = details.eyes_open * facing, details.smile
    signals["upper_lip"] = details.upper_lip
    return {**signals, **_seen(signals["face_size"], signals["eyes_open"], signals["smile"], facing)}


def prominence(face_size: float) -> float:
    """Tell how much of a viewer's eye a face takes, 0..1, by its height over the picture's."""
    return min(1.0, face_size / PROMINENT)


def _seen(face_size: float, eyes_open: float, smile: float, facing: float = _UNSEEN) -> Signals:
    seen = prominence(face_size)
    return {"open_eyes": seen * eyes_open, "open_smile": seen * eyes_open * smile, "facing": seen * facing}
