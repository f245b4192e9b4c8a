"""Connected regions and the rectangles around them."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smartcover.engine.regions import Rectangle, convex_hull, regions

Mask = npt.NDArray[np.bool_]


def _flood(mask: Mask) -> set[frozenset[tuple[int, int]]]:
    """Find the regions the slow and simple way."""
    left = {(int(row), int(column)) for row, column in np.argwhere(mask)}
    found = set()
    while left:
        front, region = [left.pop()], set()
        while front:
            row, column = front.pop()
            region.add((row, column))
            near = {(row + down, column + across) for down in (-1, 0, 1) for across in (-1, 0, 1)} & left
            left -= near
            front.extend(near)
        found.add(frozenset(region))
    return found


@settings(max_examples=150)
@given(st.integers(1, 9), st.integers(1, 9), st.data())
def test_regions_are_those_of_a_flood_fill(rows: int, columns: int, data: st.DataObject) -> None:
    bits = data.draw(st.lists(st.booleans(), min_size=rows * columns, max_size=rows * columns))
    mask = np.array(bits, dtype=np.bool_).reshape(rows, columns)
    found = regions(mask)
    pixels = [
        frozenset((int(row), column) for row, start, end in region.runs for column in range(start, end))
        for region in found
    ]
    assert set(pixels) == _flood(mask)
    assert [region.area for region in found] == [len(region) for region in pixels]


def test_nothing_has_no_regions() -> None:
    assert regions(np.zeros((5, 7), dtype=np.bool_)) == []


def test_a_region_sums_an_image_over_its_pixels() -> None:
    mask = np.zeros((4, 6), dtype=np.bool_)
    mask[1:3, 2:5] = True
    (region,) = regions(mask)
    assert region.total(np.arange(24, dtype=np.float32).reshape(4, 6)) == 8 + 9 + 10 + 14 + 15 + 16


def test_an_upright_rectangle_is_found_exactly() -> None:
    mask = np.zeros((20, 40), dtype=np.bool_)
    mask[5:9, 10:30] = True
    box = regions(mask)[0].rectangle()
    assert (box.x, box.y, box.width, box.height) == pytest.approx((20, 7, 20, 4))


@pytest.mark.parametrize("degrees", [10, 30, -25])
def test_a_turned_bar_gives_its_sides_and_angle(degrees: float) -> None:
    angle = math.radians(degrees)
    rows, columns = np.mgrid[0:200, 0:200] + 0.5
    across = (columns - 100) * math.cos(angle) + (rows - 100) * math.sin(angle)
    down = (rows - 100) * math.cos(angle) - (columns - 100) * math.sin(angle)
    (region,) = regions((np.abs(across) < 60) & (np.abs(down) < 12))
    box = region.rectangle()
    assert (box.x, box.y) == pytest.approx((100, 100), abs=1)
    assert (box.width, box.height) == pytest.approx((120, 24), abs=3)
    assert math.degrees(box.angle) == pytest.approx(degrees, abs=1.5)


def test_a_standing_bar_keeps_its_width_across() -> None:
    mask = np.zeros((40, 20), dtype=np.bool_)
    mask[5:35, 8:12] = True
    box = regions(mask)[0].rectangle()
    assert (box.width, box.height) == pytest.approx((4, 30))


def test_growing_keeps_the_middle() -> None:
    assert Rectangle(5, 6, 10, 4, 0.3).grown(2) == Rectangle(5, 6, 14, 8, 0.3)


def test_the_hull_leaves_inner_points_out() -> None:
    corners = {(0.0, 0.0), (4.0, 0.0), (4.0, 3.0), (0.0, 3.0)}
    points = np.array([*corners, (2.0, 1.0), (1.0, 2.0), (2.0, 0.0)])
    assert {(x, y) for x, y in convex_hull(points)} == corners
