"""Flows of refusals: a 4xx with a whole error document, or SDKs tell their users nothing."""

from __future__ import annotations

from typing import Final

from smartcover.conformance.bench import UNKNOWN, Bench, Flow, refused
from smartcover.protocol import TAG, Tree


def wrong_options(bench: Bench) -> None:
    wrong: tuple[dict[str, Tree], ...] = (
        {"Count": "11"},
        {"Count": "0"},
        {"Width": "127"},
        {"Height": "4097"},
        {"Format": "bmp"},
        {"DeleteDuplicates": "maybe"},
    )
    for cover in wrong:
        operation: dict[str, Tree] = {"SmartCover": cover, "Output": bench.output()}
        body: dict[str, Tree] = {"Tag": TAG, "Input": {"Object": f"{bench.place}a.mp4"}, "Operation": operation}
        answer = bench.client.ci("POST", "/jobs", body=body)
        if answer.status == 200:
            bench.submitted(answer)
        refused(answer, 400, "InvalidArgument")


def missing_nodes(bench: Bench) -> None:
    whole: dict[str, Tree] = {
        "Tag": TAG,
        "Input": {"Object": f"{bench.place}a.mp4"},
        "Operation": {"SmartCover": {}, "Output": bench.output()},
    }
    for name in whole:
        answer = bench.client.ci("POST", "/jobs", body={key: tree for key, tree in whole.items() if key != name})
        refused(answer, 400, "InvalidArgument")


def not_xml(bench: Bench) -> None:
    for body in (b"<Request>", b"{}", b"<Request><Tag>SmartCover<Tag></Request>"):
        refused(bench.client.ci("POST", "/jobs", body=body), 400, "MalformedXML")


def wrong_keys(bench: Bench) -> None:
    place = f"/jobs/j{UNKNOWN}"
    refused(bench.client.ci("GET", place, secret_key="WRONG"), 403, "SignatureDoesNotMatch")  # noqa: S106 - no secret
    refused(bench.client.ci("GET", place, secret_id="WRONG"), 403, "InvalidAccessKeyId")  # noqa: S106 - the same


FLOWS: Final = (
    Flow("options out of range are refused", "inferred", ("POST /jobs",), wrong_options),
    Flow("a submit without a required node is refused", "inferred", ("POST /jobs",), missing_nodes),
    Flow("a body that is no XML is refused", "inferred", ("POST /jobs",), not_xml),
    Flow("wrong keys are refused by name", "documented", ("GET /jobs/<ids>",), wrong_keys),
)
