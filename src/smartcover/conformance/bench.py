"""What a flow works with: the client, a place of its own in the bucket, and expectations with a text."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

from smartcover.conformance.wire import Answer, Client
from smartcover.errors import ConformanceError, Mismatch, NotTried
from smartcover.protocol import TAG, Tree

UNKNOWN: Final = "1" * 32
"""Behind the letter of a kind: an id that no server makes."""

Mark: TypeAlias = Literal["documented", "observed", "inferred", "ours"]


@dataclass(frozen=True, slots=True)
class Flow:
    """
    One promise, kept or not by a server.

    Args:
        mark: Whether the cloud documents it, an SDK was observed to need it, it was inferred, or is a choice of ours.
        calls: What it calls, in the words of docs/compatibility.md.
    """

    name: str
    mark: Mark
    calls: Sequence[str]
    run: Callable[[Bench], None]


@dataclass
class Bench:
    """
    Where a flow works.

    Args:
        place: Prefix of every key that flows make; ends in a slash.
        video: A short video to make covers of, or None.
        wait_seconds: How long a job may take.
        forgotten: What could not be cleaned up, in words.
    """

    client: Client
    place: str
    video: bytes | None
    wait_seconds: float = 120.0
    sleep: Callable[[float], None] = time.sleep
    forgotten: list[str] = field(default_factory=list)
    _clean: list[Callable[[], Answer]] = field(default_factory=list)

    def afterwards(self, clean: Callable[[], Answer]) -> None:
        """Do this when the flow is over, last things first; an answer of 4xx is what was gone already."""
        self._clean.append(clean)

    def cancel_afterwards(self, job_id: str) -> None:
        """Cancel a job when the flow is over."""
        self.afterwards(lambda: self.client.ci("PUT", f"/jobs/{job_id}", query={"cancel": ""}))

    def delete_afterwards(self, key: str) -> None:
        """Delete an object when the flow is over."""
        self.afterwards(lambda: self.client.cos("DELETE", key))

    def clean_up(self) -> None:
        """Undo what the flow did, and keep in words what could not be undone."""
        while self._clean:
            try:
                answer = self._clean.pop()()
            except ConformanceError as error:
                self.forgotten.append(error.public)
            else:
                if answer.status >= 500:
                    self.forgotten.append(f"{answer.call} was answered {answer.status}")

    def output(self, name: str = "cover-${Number}.jpg") -> dict[str, Tree]:
        """Write an Output node below the flow's place."""
        server = self.client.server
        return {"Region": server.region, "Bucket": server.bucket, "Object": f"{self.place}out/{name}"}

    def put(self, name: str, body: bytes, **headers: str) -> str:
        """Put an object below the flow's place and give its key."""
        key = self.place + name
        sent = {header.replace("_", "-"): text for header, text in headers.items()}
        self.delete_afterwards(key)
        ok(self.client.cos("PUT", key, body=body, headers=sent))
        return key

    def submit(self, key: str, **operation: Tree) -> str:
        """Submit a job, cancelled afterwards, and give its id."""
        asked: dict[str, Tree] = {"SmartCover": {"Count": "2"}, "Output": self.output(), **operation}
        body: dict[str, Tree] = {"Tag": TAG, "Input": {"Object": key}, "Operation": asked}
        return self.submitted(ok(self.client.ci("POST", "/jobs", body=body)))[0]

    def submitted(self, answer: Answer) -> list[str]:
        """Give the ids of an answer to a submit; the jobs are cancelled afterwards."""
        job_ids = answer.texts("Response/JobsDetail/JobId")
        expect(bool(job_ids), f"{answer.call}: the answer names no JobId: {answer.body[:300]!r}")
        for job_id in job_ids:
            self.cancel_afterwards(job_id)
        return job_ids

    def needed_video(self) -> bytes:
        """
        Give the video.

        Raises:
            NotTried: If there is none.
        """
        if self.video is None:
            raise NotTried('needs a video: give --video FILE, or install the engine: pip install "smartcover[engine]"')
        return self.video


def expect(kept: bool, text: str) -> None:
    """
    Go on if it is so.

    Raises:
        Mismatch: With the text, if it is not.
    """
    if not kept:
        raise Mismatch(text)


def equal(name: str, found: object, wanted: object) -> None:
    """
    Go on if both are equal.

    Raises:
        Mismatch: With both, if they are not.
    """
    expect(found == wanted, f"{name} is {found!r:.300}; expected {wanted!r:.300}")


def ok(answer: Answer, *statuses: int) -> Answer:
    """
    Give the answer on if it has one of the statuses (200 if none is named) and a request id.

    Raises:
        Mismatch: If not.
    """
    wanted = statuses or (200,)
    expect(
        answer.status in wanted,
        f"{answer.call} was answered {answer.status}, not {wanted[0]}: {answer.body[:300].decode(errors='replace')}",
    )
    expect(bool(answer.headers.get("x-cos-request-id")), f"{answer.call}: the answer has no x-cos-request-id")
    return answer


def refused(answer: Answer, status: int, *codes: str) -> None:
    """
    Go on if the call was refused so, with a whole error document; no code named means any.

    Raises:
        Mismatch: If not.
    """
    equal(f"the status of {answer.call}", answer.status, status)
    parts: Mapping[str, str] = {
        name: answer.text(f"Error/{name}") for name in ("Code", "Message", "Resource", "RequestId")
    }
    empty = [name for name, text in parts.items() if not text]
    expect(not empty, f"{answer.call}: {', '.join(empty)} of the error document empty; SDKs then tell no code at all")
    expect(not codes or parts["Code"] in codes, f"{answer.call}: Code is {parts['Code']}, not {' or '.join(codes)}")
