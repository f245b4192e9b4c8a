"""Flows of jobs: submit, describe, list, cancel, and the covers themselves."""

from __future__ import annotations

from typing import Final

from smartcover.conformance.bench import UNKNOWN, Bench, Flow, equal, expect, ok, refused
from smartcover.errors import Mismatch
from smartcover.protocol import TAG, Tree

_COVER: Final[dict[str, Tree]] = {
    "Format": "jpg",
    "Width": "1280",
    "Height": "960",
    "Count": "3",
    "DeleteDuplicates": "true",
}
_POLL_SECONDS: Final = 0.5


def submit(bench: Bench) -> None:
    key = f"{bench.place}视频 a.mp4"
    operation: dict[str, Tree] = {
        "SmartCover": _COVER,
        "Output": bench.output(),
        "UserData": "order-77",
        "JobLevel": "1",
    }
    body: dict[str, Tree] = {"Tag": TAG, "Input": {"Object": key}, "Operation": operation}
    answer = ok(bench.client.ci("POST", "/jobs", body=body))
    [job_id] = bench.submitted(answer)
    expect(len(job_id) == 33 and job_id.startswith("j"), f"JobId is {job_id!r}; expected j and 32 hex digits")
    detail = "Response/JobsDetail"
    for name, wanted in (("State", "Submitted"), ("Code", "Success"), ("StartTime", "-"), ("Tag", TAG)):
        equal(name, answer.text(f"{detail}/{name}"), wanted)
    expect(answer.text(f"{detail}/CreationTime").endswith("+0800"), "CreationTime does not end in +0800")
    equal("Input.Object", answer.text(f"{detail}/Input/Object"), key)
    equal("Input.BucketId", answer.text(f"{detail}/Input/BucketId"), bench.client.server.bucket)
    for name in ("SmartCover", "Output"):
        equal(f"Operation.{name}", answer.nodes(f"{detail}/Operation/{name}"), [operation[name]])
    equal("UserData", answer.text(f"{detail}/Operation/UserData"), "order-77")


def several(bench: Bench) -> None:
    operations: list[Tree] = [
        {"Tag": TAG, "SmartCover": _COVER, "Output": bench.output(), "UserData": str(number)} for number in range(3)
    ]
    body: dict[str, Tree] = {"Input": {"Object": f"{bench.place}a.mp4"}, "Operation": operations}
    answer = ok(bench.client.ci("POST", "/jobs", body=body))
    equal("the number of jobs", len(set(bench.submitted(answer))), 3)
    equal("UserData", answer.texts("Response/JobsDetail/Operation/UserData"), ["0", "1", "2"])


def describe(bench: Bench) -> None:
    ids = [bench.submit(f"{bench.place}{number}.mp4") for number in range(2)]
    answer = ok(bench.client.ci("GET", f"/jobs/{','.join([*ids, 'j' + UNKNOWN])}"))
    equal("JobId", sorted(answer.texts("Response/JobsDetail/JobId")), sorted(ids))
    equal("NonExistJobIds", answer.texts("Response/NonExistJobIds"), [f"j{UNKNOWN}"])


def escaped(bench: Bench) -> None:
    ids = [bench.submit(f"{bench.place}{number}.mp4") for number in range(2)]
    answer = ok(bench.client.ci("GET", f"/jobs/{'%2C'.join(ids)}"))
    equal("JobId", sorted(answer.texts("Response/JobsDetail/JobId")), sorted(ids))


def listing(bench: Bench) -> None:
    key = f"{bench.place}listed.mp4"
    ids = [bench.submit(key) for _ in range(3)]
    query = {"tag": TAG, "inputObject": key, "size": "2", "nextToken": "", "orderByTime": "Asc"}
    seen: list[str] = []
    for _ in range(3):
        answer = ok(bench.client.ci("GET", "/jobs", query=query))
        seen += answer.texts("Response/JobsDetail/JobId")
        query["nextToken"] = "".join(answer.texts("Response/NextToken"))
        if not query["nextToken"]:
            break
    equal("the jobs of all pages", seen, ids)


def cancel(bench: Bench) -> None:
    job_id = bench.submit(f"{bench.place}a.mp4")
    answer = bench.client.ci("PUT", f"/jobs/{job_id}", query={"cancel": ""})
    state = ok(bench.client.ci("GET", f"/jobs/{job_id}")).text("Response/JobsDetail/State")
    if answer.status == 400 and state in ("Failed", "Success"):
        return  # a quick worker has found by then that there is no such video
    ok(answer)
    equal("State", state, "Cancel")


def cancel_bare(bench: Bench) -> None:
    job_id = bench.submit(f"{bench.place}a.mp4")
    answer = bench.client.ci("PUT", f"/jobs/{job_id}")
    state = ok(bench.client.ci("GET", f"/jobs/{job_id}")).text("Response/JobsDetail/State")
    expect(state in ("Cancel", "Failed"), f"State is {state} after a PUT without a query, which Java means as a cancel")
    expect(state != "Cancel" or answer.status == 200, f"the PUT was answered {answer.status}")


def cancel_unknown(bench: Bench) -> None:
    refused(bench.client.ci("PUT", f"/jobs/j{UNKNOWN}", query={"cancel": ""}), 404, "NoSuchJob")


def covers(bench: Bench) -> None:
    key = bench.put("clip.mp4", bench.needed_video())
    job_id = bench.submit(key, Output=bench.output("${jobid}-${Number}.${ext}"), SmartCover={"Format": "png"})
    for _ in range(max(1, round(bench.wait_seconds / _POLL_SECONDS))):
        answer = ok(bench.client.ci("GET", f"/jobs/{job_id}"))
        state = answer.text("Response/JobsDetail/State")
        if state not in ("Submitted", "Running"):
            break
        bench.sleep(_POLL_SECONDS)
    else:
        raise Mismatch(f"the job is {state} after {bench.wait_seconds:g} s; is there a worker?")
    names = answer.texts("Response/JobsDetail/Operation/MediaResult/OutputFile/ObjectName")
    for name in names:
        bench.delete_afterwards(name)
    equal("State", f"{state} {''.join(answer.texts('Response/JobsDetail/Message'))}".strip(), "Success")
    equal("ObjectName", names, [f"{bench.place}out/{job_id}-{number}.png" for number in range(len(names))])
    expect(1 <= len(names) <= 3, f"there are {len(names)} covers; 3 are the default")
    for name in names:
        expect(ok(bench.client.cos("GET", name)).body.startswith(b"\x89PNG"), f"{name} is no PNG")


FLOWS: Final = (
    Flow("a submit is answered with the job as sent", "documented", ("POST /jobs",), submit),
    Flow("several operations make several jobs in order", "documented", ("POST /jobs",), several),
    Flow("jobs are described and unknown ones named", "documented", ("GET /jobs/<ids>",), describe),
    Flow("an escaped comma between ids is a comma", "observed", ("GET /jobs/<ids>",), escaped),
    Flow("jobs are listed page by page", "documented", ("GET /jobs",), listing),
    Flow("a job is cancelled", "documented", ("PUT /jobs/<id>?cancel",), cancel),
    Flow("a PUT without a query cancels too", "inferred", ("PUT /jobs/<id>?cancel",), cancel_bare),
    Flow("an unknown job cannot be cancelled", "ours", ("PUT /jobs/<id>?cancel",), cancel_unknown),
    Flow("a video gets its covers", "documented", ("POST /jobs", "GET /jobs/<ids>"), covers),
)
