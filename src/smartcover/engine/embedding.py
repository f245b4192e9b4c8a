"""What a picture shows, as a vector: EfficientNet-Lite0 without its classifier (Tan and Le 2019; weights in NOTICE)."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np

from smartcover.engine.arrays import Floats, Picture
from smartcover.engine.sessions import DEFAULT_RUNTIME, Runtime, planes, resized, vendored

_SIDE_PX = 224
_MEAN, _SCALE = np.float32(127.0), np.float32(128.0)

_STAGES = ("stage_4", "stage_5", "stage_6")
"""Those of which the middle is kept: they give 80, 112 and 192 values."""

_MIDDLE_REACH = 1.8 / 7
"""Standard deviation of the weight of the middle, as a share of the side."""


@functools.cache
def _middle_weights(places: int) -> Floats:
    """Weigh a grid of places x places by a Gaussian around the middle; the weights sum to 1."""
    away = np.arange(places, dtype=np.float32) - (places - 1) / 2
    along = np.exp(-0.5 * (away / (places * _MIDDLE_REACH)) ** 2)
    weights = np.outer(along, along)
    shares: Floats = (weights / weights.sum()).astype(np.float32)
    return shares


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """
    What the network gives for a picture.

    Attributes:
        features: The vector as it comes, (1280,).
        strength: Length of the vector at each place of a 7x7 grid over the picture, before the mean is taken.
        stages: What three stages before give, each weighted towards the middle of the picture, (384,): shapes and
            textures rather than names of things.
    """

    features: Floats
    strength: Floats
    stages: Floats

    @property
    def recognisable(self) -> float:
        """Length of the vector: longer where more is recognised of what the network was taught."""
        return float(np.linalg.norm(self.features))

    @property
    def meaning(self) -> Floats:
        """
        The vector brought to length 1 (0 where the network sees nothing at all): the dot product of two is likeness.

        1 is the same picture; pictures of one shot are mostly above 0.6, of different videos below 0.45.
        """
        return self.features / max(self.recognisable, 1e-9)

    @property
    def centre_recognisable(self) -> float:
        """Mean strength, weighted towards the middle: something recognisable is there, not only at the border."""
        return float((self.strength * _middle_weights(len(self.strength))).sum())


def see(picture: Picture, runtime: Runtime = DEFAULT_RUNTIME) -> Seen:
    """
    Run the network on one picture: batches of 8 were measured 15 % slower on a CPU and take 100 MB more.

    The whole picture is squeezed into the network's square, so that what stands at the sides counts as well.
    Where and how strongly it recognises something agrees with judges' grades (docs/quality.md): a clear subject in the
    middle is easy to recognise. That a network's activations before pooling show where a subject is: Zhou et al. 2016,
    "Learning Deep Features for Discriminative Localization".
    """
    values = planes([resized(picture, _SIDE_PX, _SIDE_PX)], _MEAN, _SCALE)
    outputs = ("features", "places", *_STAGES)
    features, places, *stages = vendored("efficientnet-lite0.onnx", runtime).run(outputs, {"pictures": values})
    middles = [np.tensordot(stage[0], _middle_weights(stage.shape[-1]), axes=2) for stage in stages]
    return Seen(features[0], np.linalg.norm(places[0], axis=0), np.concatenate(middles))
