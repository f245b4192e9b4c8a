"""Flows of templates, queues and bindings. Nothing that others use is paused, renamed or unbound."""

from __future__ import annotations

from typing import Final

from smartcover.conformance.bench import UNKNOWN, Bench, Flow, equal, expect, ok, refused
from smartcover.protocol import TAG, Tree


def template(bench: Bench) -> None:
    cover: dict[str, Tree] = {"Format": "webp", "Count": "2"}
    wish: dict[str, Tree] = {"Tag": TAG, "Name": "conformance-模板", "SmartCover": cover}
    made = ok(bench.client.ci("POST", "/template", body=wish))
    template_id = made.text("Response/Template/TemplateId")
    bench.afterwards(lambda: bench.client.ci("DELETE", f"/template/{template_id}"))
    equal("SmartCover", made.nodes("Response/Template/SmartCover"), [cover])
    job = ok(
        bench.client.ci(
            "POST",
            "/jobs",
            body={
                "Tag": TAG,
                "Input": {"Object": f"{bench.place}a.mp4"},
                "Operation": {"TemplateId": template_id, "Output": bench.output()},
            },
        )
    )
    bench.submitted(job)
    equal("TemplateName", job.text("Response/JobsDetail/Operation/TemplateName"), "conformance-模板")
    changed = ok(bench.client.ci("PUT", f"/template/{template_id}", body={**wish, "Name": "conformance-2"}))
    equal("Name", changed.text("Response/Template/Name"), "conformance-2")
    listed = ok(bench.client.ci("GET", "/template", query={"ids": f"{template_id},t{UNKNOWN}"}))
    equal("the list", listed.texts("Response/TemplateList/TemplateId"), [template_id])
    equal("NonExistTIDs", listed.texts("Response/NonExistTIDs/TemplateId"), [f"t{UNKNOWN}"])
    gone = ok(bench.client.ci("DELETE", f"/template/{template_id}"))
    equal("the id of what was deleted", gone.text("Response/TemplateId"), template_id)


def unknown_template(bench: Bench) -> None:
    body: dict[str, Tree] = {
        "Tag": TAG,
        "Input": {"Object": f"{bench.place}a.mp4"},
        "Operation": {"TemplateId": f"t{UNKNOWN}", "Output": bench.output()},
    }
    refused(bench.client.ci("POST", "/jobs", body=body), 400, "InvalidArgument")


def queue(bench: Bench) -> None:
    listed = ok(bench.client.ci("GET", "/queue", query={"state": "All", "pageNumber": "", "pageSize": ""}))
    [first, *_] = listed.nodes("Response/QueueList") or [{}]
    expect(isinstance(first, dict) and "QueueId" in first, "the bucket has no queue")
    assert isinstance(first, dict)
    notify = first.get("NotifyConfig")
    body: dict[str, Tree] = {name: first[name] for name in ("Name", "State") if name in first}
    body["NotifyConfig"] = (
        {name: text for name, text in notify.items() if text} if isinstance(notify, dict) else {"State": "Off"}
    )
    changed = ok(bench.client.ci("PUT", f"/queue/{first['QueueId']}", body=body))  # to what it is
    for name in ("QueueId", "Name", "State"):
        equal(name, changed.text(f"Response/Queue/{name}"), first.get(name))


def binding(bench: Bench) -> None:
    bucket = bench.client.server.bucket
    bound = ok(bench.client.ci("POST", "/mediabucket"))
    equal("BucketId", bound.text("Response/MediaBucket/BucketId"), bucket)
    listed = ok(bench.client.ci("GET", "/mediabucket", query={"bucketNames": bucket, "regions": ""}))
    equal("the list", listed.texts("Response/MediaBucketList/BucketId"), [bucket])


FLOWS: Final = (
    Flow(
        "a template is made, used, changed, listed and deleted",
        "documented",
        ("POST /template", "PUT /template/<id>", "GET /template", "DELETE /template/<id>"),
        template,
    ),
    Flow("an unknown template is refused", "inferred", ("POST /jobs",), unknown_template),
    Flow("a queue is listed and changed", "documented", ("GET /queue", "PUT /queue/<id>"), queue),
    Flow("a bucket is bound", "documented", ("POST /mediabucket", "GET /mediabucket"), binding),
)
