"""Every collected clip with one decodable frame gets a cover; the rest get a clear error."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from smartcover.engine import pick_covers
from smartcover.errors import NotAVideo, NoVideoStream
from tests.shared import SHARED

pytestmark = [pytest.mark.slow, pytest.mark.skipif(SHARED is None, reason="the collected clips are not here")]


def _rows() -> list[dict[str, str]]:
    if SHARED is None:
        return []
    rows: list[dict[str, str]] = []
    for name in ("edge.csv", "manifest.csv"):
        with (SHARED / "data" / "videos" / name).open(newline="", encoding="utf-8") as table:
            rows.extend(csv.DictReader(table))
    return rows


@pytest.mark.parametrize("row", _rows(), ids=lambda row: Path(row["file"]).name)
def test_a_clip_gets_a_cover_or_a_clear_error(row: dict[str, str]) -> None:
    assert SHARED is not None
    path = SHARED / "data" / "videos" / row["file"]
    only_art = "attached picture" in row.get("expectation", "")
    if row["video_codec"] and not only_art:
        picks = pick_covers(path)
        assert picks.covers
        assert picks.covers[0].image
    else:
        with pytest.raises((NotAVideo, NoVideoStream), match=r"is not a video|holds no video|is empty"):
            pick_covers(path)
