"""
A face looked at closely: is it one, are its eyes open, does it smile, where does it look.

MediaPipe's face mesh (Kartynnik et al. 2019) gives 468 points; its iris net (Ablavatski et al. 2020) gives the lids of
each eye. Weights in NOTICE. The mesh alone does not see blinks: it draws open eyes over closed ones.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from smartcover.engine.arrays import Floats, Picture
from smartcover.engine.faces import Face
from smartcover.engine.sessions import DEFAULT_RUNTIME, Runtime, planes, vendored

Points = npt.NDArray[np.float64]

MIN_FACE_PX = 28
"""Shorter side of a face's box. A blink was told from open eyes down to 26 px and no longer at 21 px."""

MIN_PRESENCE = 0.5
"""MediaPipe's own threshold. Real faces gave 1.00, other places of the pictures mostly 0.00 and at most 0.76."""

_MESH_PX, _EYE_PX = 192, 64
_MESH_MARGIN = 1.4
_EYE_MARGIN = 2.3
"""
Side of the crop over that of the face's box, and over the width of the eye. The eye's is MediaPipe's own; the face's
is for YuNet's boxes, for which the points stay the same from 1.1 to 1.5.
"""

# Points of the mesh by MediaPipe's canonical face model; right and left are the person's.
_RIGHT_EYE, _LEFT_EYE = (33, 133), (263, 362)
_EYES_OUTSIDE = (33, 263)
_MOUTH_CORNERS = (61, 291)
_LIPS_INSIDE = (13, 14)
_UPPER_LIP = (0, 13)
_CHEEKS = (234, 454)

# Points of the iris net: the lower lid from corner to corner is 0 to 8, the upper one between them 9 to 15.
_LOWER_LID, _UPPER_LID, _EYE_ENDS = slice(1, 8), slice(9, 16), (0, 8)

_EYE_SHUT, _EYE_OPEN = 0.08, 0.20
"""Height between the lids over the width of an eye that is shut, and of one that is open; see `openness`."""

_SMILE_NONE, _SMILE_BROAD, _RESTING_WIDTH = 0.06, 0.16, 0.62
"""What `smile` measures of a mouth without a smile and of a broad one; and the width of a mouth at rest."""

_MOST_PASSES = 3
_UPRIGHT_RADIANS = math.radians(6)
"""How often a face is cut out again, turned by what its mesh shows; and the tilt under which it is upright enough."""

_FAR_TURN_DEGREES = 25.0
"""Yaw from which the farther eye is hidden so far that its lids are guessed."""


@dataclass(frozen=True, slots=True)
class Crop:
    """A square of the picture, turned: centre and side in pixels, angle in radians clockwise as seen."""

    x: float
    y: float
    side: float
    angle: float
    mirrored: bool = False

    def to_picture(self, points: Points) -> Points:
        """Place points of the unit square into the picture."""
        across, down = (points[:, 0] - 0.5) * self.side, (points[:, 1] - 0.5) * self.side
        if self.mirrored:
            across = -across
        cosine, sine = math.cos(self.angle), math.sin(self.angle)
        return np.stack([self.x + cosine * across - sine * down, self.y + sine * across + cosine * down], axis=1)

    def cut(self, picture: Picture, size_px: int) -> Picture:
        """Cut it out, size_px x size_px; black where it leaves the picture."""
        from PIL import Image

        half = self.side * 0.75  # a turned square reaches 0.71 of its side from its centre
        left, top = max(0, math.floor(self.x - half)), max(0, math.floor(self.y - half))
        right, bottom = math.ceil(self.x + half), math.ceil(self.y + half)
        patch = np.ascontiguousarray(picture[top : max(top + 1, bottom), left : max(left + 1, right)])
        if not patch.size:
            return np.zeros((size_px, size_px, 3), dtype=np.uint8)
        image = Image.fromarray(patch)
        # Sampling skips pixels when it shrinks: average them first.
        factor = max(1, int(self.side / size_px))
        image = image.reduce(factor)
        step = self.side / size_px / factor
        cosine, sine = math.cos(self.angle) * step, math.sin(self.angle) * step
        flip = -1.0 if self.mirrored else 1.0
        x, y, middle = (self.x - left) / factor, (self.y - top) / factor, size_px / 2
        matrix = (
            cosine * flip, -sine, x - (cosine * flip - sine) * middle,
            sine * flip, cosine, y - (sine * flip + cosine) * middle,
        )  # fmt: skip
        cut = image.transform((size_px, size_px), Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR)
        return np.asarray(cut)


@dataclass(frozen=True, slots=True)
class FaceDetails:
    """
    What a closer look tells of one face.

    Attributes:
        presence: Probability that it is a face at all; under `MIN_PRESENCE` the rest means nothing.
        eyes_open: The more closed of the two eyes, 0 shut to 1 open; only the nearer eye of a face turned far away.
        smile: 0 none to 1 broad.
        upper_lip: Height of the upper lip over the distance of the outer corners of the eyes. A smile or a mouth at
            rest stretches it (0.06 to 0.075), forming a word rounds it (0.08 to 0.09).
        yaw_degrees: Turned to the person's left (positive) or right.
    """

    presence: float
    eyes_open: float
    smile: float
    upper_lip: float
    yaw_degrees: float


def face_details(picture: Picture, face: Face, runtime: Runtime = DEFAULT_RUNTIME) -> FaceDetails | None:
    """
    Look closely at a face of a picture; None if it is smaller than `MIN_FACE_PX` or has no landmarks.

    Args:
        picture: The one that `face` was found in, or the same in another size with the face scaled to it.
    """
    if min(face.box.width, face.box.height) < MIN_FACE_PX or len(face.landmarks) < 2:
        return None
    crop, points, presence = _upright_mesh(picture, _face_crop(face), runtime)
    placed = crop.to_picture(points[:, :2] / _MESH_PX)
    eyes = (_eye_crop(placed, _RIGHT_EYE, mirrored=False), _eye_crop(placed, _LEFT_EYE, mirrored=True))
    lids, _iris = _run("iris.onnx", [eye.cut(picture, _EYE_PX) for eye in eyes], runtime)
    right, left = (openness(one.reshape(-1, 3).astype(np.float64)) for one in lids)
    across = points[_CHEEKS[1]] - points[_CHEEKS[0]]
    yaw = math.degrees(math.atan2(across[2], math.hypot(across[0], across[1])))
    return FaceDetails(
        presence=presence,
        eyes_open=_of_both(right, left, yaw),
        smile=smile(points),
        upper_lip=_distance(points, _UPPER_LIP) / max(_distance(points, _EYES_OUTSIDE), 1e-6),
        yaw_degrees=yaw,
    )


def openness(lids: Points) -> float:
    """
    Tell how open an eye is, 0 to 1, from the 71 points of the iris net.

    The mean height between the lids over the width of the eye, from 0.08 (0) to 0.20 (1). Reference values: eyes that
    look at something 0.20 to 0.30; shut in the middle of a blink 0.07; half shut, looking down or laughing 0.04 to
    0.15, as are the frames in which a lid comes down.
    """
    height = lids[_LOWER_LID, 1].mean() - lids[_UPPER_LID, 1].mean()
    return _share(height / max(_distance(lids, _EYE_ENDS), 1e-6), _EYE_SHUT, _EYE_OPEN)


def smile(points: Points) -> float:
    """
    Tell how much a face smiles, 0 to 1, from the points of the mesh: no network, only two things that a smile does.

    It lifts the corners of the mouth over the line between the lips (in widths of the mouth) and widens the mouth
    (over the distance of the outer corners of the eyes, at rest 0.62). Reference values of the sum, of which 0.06
    gives 0 and 0.16 gives 1: broad smiles 0.16 to 0.18, a slight one 0.08, ten seconds of a man who talks under 0.04.
    A head bent back raises it: a serious face seen from below gave 0.10.
    """
    corners, lips = points[list(_MOUTH_CORNERS), 1].mean(), points[list(_LIPS_INSIDE), 1].mean()
    width = _distance(points, _MOUTH_CORNERS)
    lift = (lips - corners) / max(width, 1e-6)
    between_eyes = _distance(points, _EYES_OUTSIDE)
    widening = width / max(between_eyes, 1e-6) - _RESTING_WIDTH
    return _share(lift + 0.4 * widening, _SMILE_NONE, _SMILE_BROAD)


def _face_crop(face: Face) -> Crop:
    box, (right, left) = face.box, face.landmarks[:2]
    angle = math.atan2(left[1] - right[1], left[0] - right[0])
    side = _MESH_MARGIN * max(box.width, box.height)
    return Crop(box.left + box.width / 2, box.top + box.height / 2, side, angle)


def _upright_mesh(picture: Picture, crop: Crop, runtime: Runtime) -> tuple[Crop, Points, float]:
    """
    Find the mesh, and again in a crop turned upright by it: give the crop, the points in it, the presence.

    The detector's landmarks underrate how far a head is tilted (6 degrees of 21 in one clip), and eyes cut aslant read
    as open.
    """
    for _pass in range(_MOST_PASSES):
        mesh, logit = _run("face-mesh.onnx", [crop.cut(picture, _MESH_PX)], runtime)
        points = mesh.reshape(-1, 3).astype(np.float64)
        presence = float(1 / (1 + np.exp(-logit[0, 0].clip(-50, 50))))
        tilt = _tilt(points)
        if presence < MIN_PRESENCE or abs(tilt) < _UPRIGHT_RADIANS:
            break
        placed = crop.to_picture(points[:, :2] / _MESH_PX)
        (left, top), (right, bottom) = placed.min(axis=0), placed.max(axis=0)
        crop = Crop(float(left + right) / 2, float(top + bottom) / 2, crop.side, crop.angle + tilt)
    return crop, points, presence


def _tilt(points: Points) -> float:
    """Angle of the line through the outer corners of the eyes."""
    across = points[_LEFT_EYE[0]] - points[_RIGHT_EYE[0]]
    return math.atan2(across[1], across[0])


def _eye_crop(placed: Points, ends: tuple[int, int], *, mirrored: bool) -> Crop:
    """Cut an eye as the iris net was taught it: the person's right eye as seen, the left one mirrored."""
    outer, inner = placed[ends[0]], placed[ends[1]]
    along = outer - inner if mirrored else inner - outer
    middle = (outer + inner) / 2
    side = _EYE_MARGIN * float(np.hypot(*along))
    return Crop(float(middle[0]), float(middle[1]), side, math.atan2(along[1], along[0]), mirrored)


def _of_both(right: float, left: float, yaw_degrees: float) -> float:
    """Take the more closed eye, unless one is turned so far away that its lids are guessed."""
    if yaw_degrees > _FAR_TURN_DEGREES:
        return right
    return left if yaw_degrees < -_FAR_TURN_DEGREES else min(right, left)


def _distance(points: Points, pair: tuple[int, int]) -> float:
    return float(np.hypot(*(points[pair[0], :2] - points[pair[1], :2])))


def _share(value: float, low: float, high: float) -> float:
    return float(min(1.0, max(0.0, (value - low) / (high - low))))


def _run(name: str, crops: list[Picture], runtime: Runtime) -> list[Floats]:
    result: list[Floats] = vendored(name, runtime).run(None, {"t0": planes(crops, np.float32(0), np.float32(255))})
    return result
