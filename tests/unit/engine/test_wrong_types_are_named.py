"""An argument of a wrong type is refused by its name, not somewhere inside."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any

import pytest

from smartcover.engine import CoverOptions, Limits, pick_covers

READER = "a path, or a reader with read, seek and tell"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"count": "3"}, "count is '3'; give a whole number"),
        ({"count": 2.5}, "count is 2.5; give a whole number"),
        ({"width_px": 640.5}, "width_px is 640.5; give a whole number or None"),
        ({"height_px": "720"}, "height_px is '720'; give a whole number or None"),
        ({"quality": 90.5}, "quality is 90.5; give a whole number or None"),
        ({"delete_duplicates": "no"}, "delete_duplicates is 'no'; give True or False"),
        ({"crop_letterbox": 1}, "crop_letterbox is 1; give True or False"),
        ({"safety": "no"}, "safety is 'no'; give True or False"),
        ({"gpu": None}, "gpu is None; give True or False"),
        ({"scorer": 5}, "scorer is 5; give a path or None"),
    ],
)
def test_options(options: dict[str, Any], message: str) -> None:
    with pytest.raises(TypeError, match=re.escape(message)):
        CoverOptions(**options)


def test_limits() -> None:
    seconds: Any = "5"
    with pytest.raises(TypeError, match="limit seconds is '5'; give a number"):
        Limits(seconds=seconds)


@pytest.mark.parametrize(
    ("arguments", "named", "message"),
    [
        ((None,), {}, f"video is None; give {READER}"),
        ((5,), {}, f"video is 5; give {READER}"),
        ((b"clip.mp4",), {}, f"video is b'clip.mp4'; give {READER}"),
        (("clip.mp4", {"count": 1}), {}, "options is {'count': 1}; give a CoverOptions"),
        (("clip.mp4",), {"limits": None}, "limits is None; give a Limits"),
    ],
)
def test_arguments(arguments: tuple[Any, ...], named: dict[str, Any], message: str) -> None:
    with pytest.raises(TypeError, match=re.escape(message)):
        pick_covers(*arguments, **named)


def test_what_a_reader_gives() -> None:
    class Silent(io.BytesIO):
        def read(self, _size: int | None = -1) -> Any:
            return None

    with pytest.raises(TypeError, match=r"what read\(\) of the video gave is None; give bytes"):
        pick_covers(Silent(b"video"))


def test_whole_numbers_of_numpy_will_do(tmp_path: Path) -> None:
    import numpy as np

    from tests.engine_clips import texture, write_clip

    clip = write_clip(tmp_path / "clip.mp4", [texture(seed=number) for number in range(3)])
    options = CoverOptions(count=np.int64(2), width_px=np.int32(80))  # type: ignore[arg-type]
    assert [cover.width_px for cover in pick_covers(clip, options).covers] == [80, 80]
