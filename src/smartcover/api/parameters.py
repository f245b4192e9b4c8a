"""The parameters of lists: names in any case, empty values as good as none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, TypeVar

from smartcover.api.call import Call, Query
from smartcover.errors import BadParameter
from smartcover.protocol import MAX_INTEGER, Page, parse_time, shown

_DEFAULT_SIZE = 10

#: Parameters that may stand beside or instead of `cancel`; the Java SDK sends none at all.
_CANCEL_PARAMETERS: Final = frozenset({"cancel", "x-cos-security-token", "x-ci-security-token"})

Word = TypeVar("Word", bound=str)


def require_cancel(call: Call, place: str) -> None:
    """
    Let only a plain cancel pass, with or without `cancel` in the query: another parameter may mean another call.

    Raises:
        BadParameter: If the query holds one that we do not know.
    """
    for name in call.query.names():
        if name.lower() not in _CANCEL_PARAMETERS and not name.startswith("q-"):
            raise BadParameter(f"PUT {place} cancels and knows no parameter {shown(name)}; give cancel or none")


@dataclass(frozen=True, slots=True)
class PageWish:
    """Which page was asked for by number, from 1, and how many entries a page has."""

    number: int
    size: int

    @property
    def skip(self) -> int:
        """How many entries stand before the page."""
        return (self.number - 1) * self.size

    def of(self, total: int) -> Page:
        """Make the counts of the answer."""
        return Page(total=total, number=self.number, size=self.size)


class Parameters:
    """
    The query of a list.

    Older pages of the documents write names with a capital, and the Python SDK sends what it was not given as empty.
    """

    def __init__(self, call: Call) -> None:
        # Of names that differ in case only the first counts, as of a repeated name.
        pairs = [(name.lower(), call.query.text(name) or "") for name in call.query.names()]
        self._query = Query(pairs)
        self._max_size = call.max_page_size

    def text(self, name: str) -> str | None:
        """Give a value without the white space around it, or None."""
        value = self._query.text(name.lower())
        return None if value is None else value.strip() or None

    def words(self, name: str, *, most: int) -> tuple[str, ...]:
        """Give a comma list without empty entries and repetitions; BadParameter for more than `most`."""
        words = tuple(dict.fromkeys(word.strip() for word in (self.text(name) or "").split(",") if word.strip()))
        if len(words) > most:
            raise BadParameter(f"The parameter {name} holds {len(words)} entries; give at most {most}")
        return words

    def choices(self, name: str, choices: Sequence[Word]) -> tuple[Word, ...]:
        """Give a comma list of known words, in the spelling of `choices`."""
        known = {choice.lower(): choice for choice in choices}
        found = []
        for word in self.words(name, most=len(choices) * 4):
            if word.lower() not in known:
                raise BadParameter(f"The parameter {name} is {shown(word)}; give {', '.join(choices)}")
            found.append(known[word.lower()])
        return tuple(dict.fromkeys(found))

    def choice(self, name: str, choices: Sequence[Word]) -> Word | None:
        """Give one of the words, in the spelling of `choices`, or None."""
        value = self.text(name)
        if value is None:
            return None
        for choice in choices:
            if value.lower() == choice.lower():
                return choice
        raise BadParameter(f"The parameter {name} is {shown(value)}; give one of {', '.join(choices)}")

    def moment(self, name: str) -> datetime | None:
        """Give a time. A `+` that was not escaped came as a space and is read as the plus it was meant as."""
        value = self.text(name)
        if value is None:
            return None
        try:
            return parse_time(value)
        except BadParameter:
            head, space, offset = value.rpartition(" ")
            if not space or ":" not in head:
                raise BadParameter(
                    f"The parameter {name} is {shown(value)}; write a time like 2001-01-01T00:00:00+0800"
                ) from None
        try:
            return parse_time(f"{head}+{offset}")
        except BadParameter as error:
            raise BadParameter(f"The parameter {name}: {error.public}") from error

    def size(self) -> int:
        """Give how many entries a list by token is asked for; more than the limit are cut to it."""
        return self._query.integer("size", default=_DEFAULT_SIZE, low=1, high=self._max_size)

    def page(self) -> PageWish:
        """Give which page of a list by number is asked for; a size over the limit is cut to it."""
        return PageWish(
            number=self._query.integer("pagenumber", default=1, low=1, high=MAX_INTEGER),
            size=self._query.integer("pagesize", default=_DEFAULT_SIZE, low=1, high=self._max_size),
        )
