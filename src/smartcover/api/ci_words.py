"""
The one table of what CI calls begin with: the words of smartcover, and those of the cloud's other services.

The Host alone cannot tell a call from an object: the Python SDK in IP mode sends CI calls to `.cos.`, and it and the Go
SDK have modes that send objects to `.ci.`. So the words of calls are reserved on every Host, but for what no call has.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

OWN_WORDS: Final = frozenset(
    {
        b"jobs",
        b"template",
        b"queue",
        b"mediabucket",
        b"workflow",
        b"workflowexecution",
        b"triggerworkflow",
        b"inventorytriggerjob",
    }
)

#: What the SDKs send for services that smartcover has not: taken for an object, a change of a queue would be stored as
#: one and answered with 200.
OTHER_WORDS: Final = frozenset(
    {
        b"ai_bucket",
        b"ai_jobs",
        b"ai_queue",
        b"asr_jobs",
        b"asrbucket",
        b"asrqueue",
        b"doc_jobs",
        b"docbucket",
        b"docqueue",
        b"file_bucket",
        b"file_jobs",
        b"file_queue",
        b"pic_jobs",
        b"picbucket",
        b"picqueue",
        b"playKey",
    }
)

#: First segments of CI calls, which name neither a bucket nor, alone or with an id, an object.
RESERVED_WORDS: Final = OWN_WORDS | OTHER_WORDS

#: Calls of other services that begin like many a folder: calls on the Host of CI, objects on all others.
_CALLS_ON_THE_HOST_OF_CI: Final = frozenset(
    {
        (b"audio", b"auditing"),
        (b"document", b"auditing"),
        (b"image", b"auditing"),
        (b"report", b"badcase"),
        (b"text", b"auditing"),
        (b"video", b"auditing"),
        (b"video", b"cancel_auditing"),
        (b"virus", b"detect"),
        (b"webpage", b"auditing"),
    }
)


def segments_of(raw_path: bytes) -> list[bytes]:
    """Split a raw path without its bucket; a slash at the end of a CI call does not count."""
    segments = raw_path[1:].split(b"/")
    ends_on_slash = len(segments) > 1 and segments[-1] == b""
    return segments[:-1] if ends_on_slash and segments[0] in RESERVED_WORDS else segments


def is_ci_call(method: str, segments: Sequence[bytes], *, ci_host: bool, has_query: bool) -> bool:
    """
    Tell whether a path, in raw segments and without a bucket, is that of a CI call of any service.

    Below a reserved word only what could be an id is one, but on the Host of CI all is. There a POST without a query is
    one too, whatever it names: every POST on an object has a query.
    """
    if segments[0] in RESERVED_WORDS:
        return ci_host or not _names_a_file(segments[1:])
    if not ci_host or segments[0] == b"":
        return False
    known = tuple(segments[:2]) in _CALLS_ON_THE_HOST_OF_CI and not _names_a_file(segments[2:])
    return known or (method == "POST" and not has_query)


def _names_a_file(below: Sequence[bytes]) -> bool:
    """Tell what is no id below the words of a call: it lies deeper, or has a dot, as keys of videos and covers do."""
    return len(below) > 1 or any(b"." in segment for segment in below)
