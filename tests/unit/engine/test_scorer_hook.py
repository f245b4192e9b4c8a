"""A user's own scorer: good files score, bad ones are refused with the reason."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from smartcover.engine.scorer_hook import UserScorer, read_score
from smartcover.errors import BadParameter
from tests.engine_clips import plain
from tests.onnx_files import constant, node, write_model

_MEAN_OF_PLANES = node("ReduceMean", ["x"], "y", axes=[1, 2, 3], keepdims=0)
_UNIT = {"smartcover.normalise": "unit"}


def _red() -> npt.NDArray[np.uint8]:
    picture = np.zeros((90, 160, 3), dtype=np.uint8)
    picture[..., 0] = 255
    return picture


def test_one_number_is_the_score(tmp_path: Path) -> None:
    scorer = UserScorer.load(write_model(tmp_path / "m.onnx", [_MEAN_OF_PLANES], result=("n",), metadata=_UNIT))
    assert scorer.score(plain(255, 90, 160)) == pytest.approx(1.0)
    assert scorer.score(plain(51, 300, 200)) == pytest.approx(0.2, abs=1e-3)


@pytest.mark.parametrize("channels_first", [True, False])
def test_channels_are_red_first_wherever_they_stand(tmp_path: Path, channels_first: bool) -> None:
    axes = [2, 3] if channels_first else [1, 2]
    nodes = [
        node("ReduceMean", ["x"], "means", axes=axes, keepdims=0),
        node("Mul", ["means", "first"], "red"),
        node("ReduceSum", ["red"], "y", keepdims=0),
    ]
    source = ("n", 3, 224, 224) if channels_first else (1, 224, 224, 3)
    path = write_model(
        tmp_path / "m.onnx",
        nodes,
        source=source,
        result=(),
        constants=[constant("first", [1, 0, 0], [3])],
        metadata=_UNIT,
    )
    assert UserScorer.load(path).score(_red()) == pytest.approx(1.0)


def test_ten_numbers_are_grades(tmp_path: Path) -> None:
    weights = constant("weights", [0.0] * 9 + [40.0], [1, 10])
    nodes = [
        node("ReduceMean", ["x"], "mean", axes=[1, 2, 3], keepdims=0),
        node("Reshape", ["mean", "shape"], "column"),
        node("Mul", ["column", "weights"], "logits"),
        node("Softmax", ["logits"], "y", axis=1),
    ]
    # Reshape wants integers, so its shape is computed: the mean's own shape, then 1.
    nodes[1:2] = [node("Unsqueeze", ["mean", "one"], "column")]
    nodes.insert(1, node("Shape", ["mean"], "one"))
    path = write_model(
        tmp_path / "m.onnx", nodes, source=(1, 3, 224, 224), result=(1, 10), constants=[weights], metadata=_UNIT
    )
    scorer = UserScorer.load(path)
    assert scorer.score(plain(255, 90, 160)) == pytest.approx(1.0, abs=1e-3)
    assert scorer.score(plain(0, 90, 160)) == pytest.approx(0.5, abs=1e-3)


def test_the_default_normalisation_is_that_of_imagenet(tmp_path: Path) -> None:
    path = write_model(tmp_path / "m.onnx", [_MEAN_OF_PLANES], result=("n",), metadata={"smartcover.range": "-3,3"})
    grey = UserScorer.load(path).score(plain(128, 90, 160))
    expected = np.mean([(128 / 255 - mean) / std for mean, std in ((0.485, 0.229), (0.456, 0.224), (0.406, 0.225))])
    assert grey == pytest.approx((expected + 3) / 6, abs=1e-4)


def test_a_declared_range_is_brought_to_0_and_1() -> None:
    assert read_score([5.5], (1.0, 10.0)) == pytest.approx(0.5)
    assert read_score([99.0], (1.0, 10.0)) == 1.0
    assert read_score([[-3.0]], (0.0, 1.0)) == 0.0


@pytest.mark.parametrize(
    ("output", "said"),
    [([1.0, 2.0], "2 numbers"), ([math.nan], "not finite"), ([0.5] * 10, "add up to 5.000"), ([], "0 numbers")],
)
def test_other_outputs_are_refused(output: list[float], said: str) -> None:
    with pytest.raises(BadParameter, match=said):
        read_score(output, (0.0, 1.0))


def test_files_that_are_no_model_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadParameter, match="does not exist"):
        UserScorer.load(tmp_path / "none.onnx")
    for content in (b"", b"no model", b"\x08\x08" + bytes(2000)):
        bad = tmp_path / "bad.onnx"
        bad.write_bytes(content)
        with pytest.raises(BadParameter, match=r"bad\.onnx"):
            UserScorer.load(bad)


def test_models_of_another_shape_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    with pytest.raises(BadParameter, match="224 x 224"):
        UserScorer.load(write_model(path, [_MEAN_OF_PLANES], source=("n", 3, 299, 299), result=("n",)))
    with pytest.raises(BadParameter, match="224 x 224"):
        UserScorer.load(write_model(path, [_MEAN_OF_PLANES], source=("n", 1, 224, 224), result=("n",)))
    with pytest.raises(BadParameter, match="2 inputs"):
        UserScorer.load(
            write_model(path, [node("Add", ["x", "z"], "y")], extra_inputs=["z"], result=("n", 3, "h", "w"))
        )
    with pytest.raises(BadParameter, match=r"takes tensor\(int64\)"):
        UserScorer.load(write_model(path, [node("Cast", ["x"], "y", to=1)], integers=True, result=("n", 3, "h", "w")))
    with pytest.raises(BadParameter, match=r"cannot serve: it gives 3 numbers"):
        UserScorer.load(write_model(path, [node("ReduceMean", ["x"], "y", axes=[2, 3], keepdims=0)]))


def test_unknown_metadata_is_refused(tmp_path: Path) -> None:
    for key, value, said in (("normalise", "zeros", "imagenet"), ("range", "3", "'1,10'"), ("range", "4,1", "'1,10'")):
        path = write_model(tmp_path / "m.onnx", [_MEAN_OF_PLANES], result=("n",), metadata={f"smartcover.{key}": value})
        with pytest.raises(BadParameter, match=said):
            UserScorer.load(path)
