"""The embedding tells pictures apart by what they show."""

from __future__ import annotations

import numpy as np
import pytest

from smartcover.engine.embedding import see
from tests.engine_clips import plain, texture
from tests.real_frames import frames


def test_a_vector_has_length_one_and_any_size_of_picture_is_taken() -> None:
    for picture in (texture(270, 480), texture(480, 270), texture(5, 3), plain(0, 60, 80)):
        meaning = see(picture).meaning
        assert meaning.shape == (1280,)
        assert meaning.dtype == np.float32
        assert np.linalg.norm(meaning) == pytest.approx(1.0, abs=1e-4)


def test_pictures_of_one_shot_are_alike_and_of_different_videos_are_not() -> None:
    bikes = frames("bikes.mp4", (80, 110))
    rabbit = frames("bigbuckbunny.mp4", (20, 60))
    man = frames("carphone_pristine.mp4", (20, 60))
    vectors = np.stack([see(picture).meaning for picture in (*bikes, *rabbit, *man)])
    alike = vectors @ vectors.T
    for first in (0, 2, 4):
        assert alike[first, first + 1] > 0.6
        others = [place for place in range(6) if place not in (first, first + 1)]
        assert alike[first, others].max() < 0.45


def test_a_subject_in_the_middle_is_recognised_there_more_than_one_at_the_border() -> None:
    (man,) = frames("carphone_pristine.mp4", (20,))
    rows, columns = man.shape[:2]
    wide = np.full((rows * 2, columns * 2, 3), 128, dtype=np.uint8)
    middle, corner = wide.copy(), wide.copy()
    middle[rows // 2 : rows // 2 + rows, columns // 2 : columns // 2 + columns] = man
    corner[:rows, :columns] = man
    assert see(middle).centre_recognisable > 1.05 * see(corner).centre_recognisable


def test_the_vector_is_the_mean_over_the_places() -> None:
    (man,) = frames("carphone_pristine.mp4", (20,))
    seen = see(man)
    assert seen.strength.shape == (7, 7)
    # The length of a mean is at most the mean of the lengths.
    assert 0 < seen.recognisable <= seen.strength.mean()


def test_the_stages_are_weighed_towards_the_middle() -> None:
    (man,) = frames("carphone_pristine.mp4", (20,))
    rows, columns = man.shape[:2]
    blank = np.full((rows * 3, columns * 3, 3), 128, dtype=np.uint8)
    middle, corner = blank.copy(), blank.copy()
    middle[rows : rows * 2, columns : columns * 2] = man
    corner[:rows, :columns] = man
    unlike_nothing = [np.linalg.norm(see(picture).stages - see(blank).stages) for picture in (middle, corner)]
    assert see(man).stages.shape == (384,)
    assert unlike_nothing[0] > 1.5 * unlike_nothing[1]
