"""A start waits for the database however often it goes away again, and for nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from smartcover.app.database_wait import DatabaseWait
from smartcover.errors import LedgerUnavailable, RegisterUnavailable, SettingsError, SmartCoverError, StorageUnavailable


@pytest.fixture(autouse=True)
def _quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("smartcover.app.database_wait._FIRST_PAUSE_SECONDS", 0.01)
    monkeypatch.setattr("smartcover.app.database_wait._MOST_PAUSE_SECONDS", 0.02)


class Step:
    """Raises one error after another, then gives a value."""

    def __init__(self, *errors: Callable[[], SmartCoverError]) -> None:
        self._errors: Iterator[Callable[[], SmartCoverError]] = iter(errors)
        self.tries = 0

    async def __call__(self) -> str:
        self.tries += 1
        error = next(self._errors, None)
        if error is not None:
            raise error()
        return "done"


async def test_a_database_that_goes_away_again_and_again_is_waited_for_whoever_asks_it() -> None:
    step = Step(RegisterUnavailable, LedgerUnavailable, RegisterUnavailable, RegisterUnavailable)
    assert await DatabaseWait(30).through(step) == "done"
    assert step.tries == 5


@pytest.mark.parametrize("error", [StorageUnavailable, SettingsError])
async def test_the_word_of_the_store_and_wrong_settings_end_the_start(error: type[SmartCoverError]) -> None:
    step = Step(error)
    with pytest.raises(error) as caught:
        await DatabaseWait(30).through(step)
    assert (caught.type, step.tries) == (error, 1)


async def test_the_wait_is_told_with_what_was_met_last() -> None:
    with pytest.raises(LedgerUnavailable, match=r"does not answer; try again; waited for 0.05 s"):
        await DatabaseWait(0.05).through(Step(*[RegisterUnavailable] * 100))


async def test_without_a_wait_there_is_one_try() -> None:
    step = Step(RegisterUnavailable)
    with pytest.raises(RegisterUnavailable):
        await DatabaseWait().through(step)
    assert step.tries == 1
