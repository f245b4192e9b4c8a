"""The port through which one try of a delivery leaves: HTTP today, message brokers beside it."""

from __future__ import annotations

from types import TracebackType
from typing import Any, Final, Protocol

from smartcover.ledger import AttemptReport, Delivery

_MAX_ERROR_CHARACTERS: Final = 500


class Sender(Protocol):
    """Tries deliveries of one kind of target; is open between `__aenter__` and `__aexit__`."""

    async def __aenter__(self) -> Any:
        """Open what the tries share."""

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""

    async def send(self, delivery: Delivery) -> AttemptReport:
        """
        Try a delivery once, within a time limit of the sender's own.

        A failed try is a result and not an exception; the outcomes `refused` and `bad_target` end the delivery.
        """


def error_text(text: str) -> str:
    """Bring what a try met, which others may have written, on one short line that is safe to print."""
    text = "".join(character if character.isprintable() else "?" for character in " ".join(text.split()))
    return text if len(text) <= _MAX_ERROR_CHARACTERS else text[: _MAX_ERROR_CHARACTERS - 1] + "…"
