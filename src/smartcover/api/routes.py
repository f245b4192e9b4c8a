"""
The one table of routes.

A place is what the path names; a sub-resource is what the query or a header makes of it (`?uploads`). A request with
a sub-resource never falls to the route without: `DELETE /?uploads` must not delete the bucket.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType
from typing import Final

from smartcover.api import (
    batches,
    buckets,
    form_upload,
    jobs,
    media_buckets,
    multipart,
    objects,
    queues,
    runs,
    templates,
    workflows,
)
from smartcover.api.call import Call, Query
from smartcover.api.edge import Handler
from smartcover.api.errors import RefusedWithHeaders
from smartcover.api.target import Kind, Target
from smartcover.errors import MethodNotAllowed, Unsupported
from smartcover.protocol import shown
from smartcover.service import Right


class Place(Enum):
    """What a path names."""

    SERVICE = "the service"
    BUCKET = "a bucket"
    OBJECT = "an object"
    JOBS = "/jobs"
    JOB = "/jobs/<id>"
    TEMPLATES = "/template"
    TEMPLATE = "/template/<id>"
    QUEUES = "/queue"
    QUEUE = "/queue/<id>"
    MEDIA_BUCKET = "/mediabucket"
    WORKFLOWS = "/workflow"
    WORKFLOW = "/workflow/<id>"
    TRIGGER = "/triggerworkflow"
    RUNS = "/workflowexecution"
    RUN = "/workflowexecution/<id>"
    BATCHES = "/inventorytriggerjob"
    BATCH = "/inventorytriggerjob/<id>"


@dataclass(frozen=True, slots=True)
class Route:
    """
    Who answers a call, and the right that it needs: in the bucket that the call is for, or `anywhere`.

    A call for other buckets besides (the source of a copy, the place of covers) has its handler ask about them.
    """

    handler: Handler
    right: Right
    anywhere: bool = False


ROUTES: Final[Mapping[tuple[Place, str], Mapping[str, Route]]] = MappingProxyType(
    {
        (Place.JOBS, ""): {"POST": Route(jobs.submit_jobs, Right.SUBMIT), "GET": Route(jobs.list_jobs, Right.READ)},
        (Place.JOB, ""): {"GET": Route(jobs.describe_jobs, Right.READ), "PUT": Route(jobs.cancel_job, Right.SUBMIT)},
        (Place.TEMPLATES, ""): {
            "POST": Route(templates.create_template, Right.ADMIN),
            "GET": Route(templates.list_templates, Right.READ),
        },
        (Place.TEMPLATE, ""): {
            "PUT": Route(templates.replace_template, Right.ADMIN),
            "DELETE": Route(templates.delete_template, Right.ADMIN),
        },
        (Place.QUEUES, ""): {"GET": Route(queues.list_queues, Right.READ)},
        (Place.QUEUE, ""): {"PUT": Route(queues.change_queue, Right.ADMIN)},
        (Place.MEDIA_BUCKET, ""): {
            "GET": Route(media_buckets.list_media_buckets, Right.READ, anywhere=True),
            "POST": Route(media_buckets.bind_bucket, Right.ADMIN),
            "DELETE": Route(media_buckets.unbind_bucket, Right.ADMIN),
        },
        (Place.WORKFLOWS, ""): {
            "POST": Route(workflows.create_workflow, Right.ADMIN),
            "GET": Route(workflows.list_workflows, Right.READ),
        },
        (Place.WORKFLOW, ""): {
            "PUT": Route(workflows.change_workflow, Right.ADMIN),
            "DELETE": Route(workflows.delete_workflow, Right.ADMIN),
        },
        (Place.TRIGGER, ""): {"POST": Route(workflows.trigger_workflow, Right.SUBMIT)},
        (Place.RUNS, ""): {"GET": Route(runs.list_runs, Right.READ)},
        (Place.RUN, ""): {"GET": Route(runs.describe_run, Right.READ)},
        (Place.BATCHES, ""): {
            "POST": Route(batches.create_batch, Right.SUBMIT),
            "GET": Route(batches.list_batches, Right.READ),
        },
        (Place.BATCH, ""): {
            "GET": Route(batches.describe_batch, Right.READ),
            "PUT": Route(batches.cancel_batch, Right.SUBMIT),
        },
        (Place.SERVICE, ""): {"GET": Route(buckets.list_buckets, Right.READ, anywhere=True)},
        (Place.BUCKET, ""): {
            "GET": Route(buckets.list_objects, Right.READ),
            "HEAD": Route(buckets.head_bucket, Right.READ),
            "PUT": Route(buckets.put_bucket, Right.ADMIN),
            "DELETE": Route(buckets.delete_bucket, Right.ADMIN),
            "POST": Route(form_upload.post_object, Right.SUBMIT),
        },
        (Place.BUCKET, "uploads"): {"GET": Route(multipart.list_uploads, Right.SUBMIT)},
        (Place.BUCKET, "delete"): {"POST": Route(objects.delete_objects, Right.SUBMIT)},
        (Place.BUCKET, "location"): {"GET": Route(buckets.bucket_location, Right.READ)},
        (Place.BUCKET, "versioning"): {"GET": Route(buckets.bucket_versioning, Right.READ)},
        (Place.OBJECT, ""): {
            "GET": Route(objects.get_object, Right.READ),
            "HEAD": Route(objects.head_object, Right.READ),
            "PUT": Route(objects.put_object, Right.SUBMIT),
            "DELETE": Route(objects.delete_object, Right.SUBMIT),
        },
        (Place.OBJECT, "copy"): {"PUT": Route(objects.copy_object, Right.SUBMIT)},
        (Place.OBJECT, "uploads"): {"POST": Route(multipart.start_upload, Right.SUBMIT)},
        (Place.OBJECT, "upload"): {
            "GET": Route(multipart.list_parts, Right.SUBMIT),
            "PUT": Route(multipart.put_part, Right.SUBMIT),
            "POST": Route(multipart.complete_upload, Right.SUBMIT),
            "DELETE": Route(multipart.abort_upload, Right.SUBMIT),
        },
        (Place.OBJECT, "upload copy"): {"PUT": Route(multipart.copy_part, Right.SUBMIT)},
    }
)

#: What the routes of objects are called where requests are counted; CI calls are called as they look.
_TEMPLATES: Final[Mapping[Place, str]] = MappingProxyType(
    {Place.SERVICE: "service", Place.BUCKET: "bucket", Place.OBJECT: "object"}
)

#: First segment of a CI call to the place that it names, alone and with an id behind it.
_CI_PLACES: Final[Mapping[str, tuple[Place, Place | None]]] = MappingProxyType(
    {
        "jobs": (Place.JOBS, Place.JOB),
        "template": (Place.TEMPLATES, Place.TEMPLATE),
        "queue": (Place.QUEUES, Place.QUEUE),
        "mediabucket": (Place.MEDIA_BUCKET, None),
        "workflow": (Place.WORKFLOWS, Place.WORKFLOW),
        "triggerworkflow": (Place.TRIGGER, None),
        "workflowexecution": (Place.RUNS, Place.RUN),
        "inventorytriggerjob": (Place.BATCHES, Place.BATCH),
    }
)

_WAY_TO_OBJECT: Final = "; an object of that name is reached by writing its first slash as %2F"

_BUCKET_SUBS: Final = ("uploads", "delete", "location", "versioning")

# Sub-resources of the cloud that we do not have. Ignoring one would answer another question than was asked.
_UNSUPPORTED_OF_BUCKETS: Final = frozenset(
    (
        "acl",
        "accelerate",
        "asyncfetch",
        "cors",
        "domain",
        "domaincertificate",
        "encryption",
        "intelligenttiering",
        "intelligent-tiering",
        "inventory",
        "lifecycle",
        "logging",
        "notification",
        "object-lock",
        "origin",
        "policy",
        "referer",
        "replication",
        "tagging",
        "versions",
        "website",
    )
)
_UNSUPPORTED_OF_OBJECTS: Final = frozenset(
    (
        "acl",
        "append",
        "ci-process",
        "image_process",
        "legal-hold",
        "position",
        "restore",
        "retention",
        "select",
        "symlink",
        "tagging",
        "torrent",
    )
)
_IMAGE_PROCESSING: Final = ("imagemogr2", "imageview2", "imageave", "imageinfo", "watermark", "style/", "exif")


def find_route(call: Call) -> tuple[str, Route]:
    """
    Find the route of a request: its template, for whoever counts, and who answers by which right.

    Raises:
        Unsupported: If the call is one of the cloud's that we do not have.
        RefusedWithHeaders: With `MethodNotAllowed`, if the place exists and the method does not fit it.
    """
    place = _place_of(call.target)
    _refuse_unsupported(place, call.query)
    sub = _sub_resource(place, call)
    methods = ROUTES.get((place, sub), {})
    route = methods.get(call.method)
    if route is None:
        allowed = ", ".join(sorted(methods))
        error = MethodNotAllowed(f"The method {call.method[:20]!r} does not fit {place.value}; allowed: {allowed}")
        raise RefusedWithHeaders(error, ((b"allow", allowed.encode()),))
    template = _TEMPLATES.get(place, place.value)
    return (f"{template}?{sub.replace(' ', '-')}" if sub else template), route


def _place_of(target: Target) -> Place:
    if target.kind is Kind.SERVICE:
        return Place.SERVICE
    if target.kind is Kind.OBJECT:
        return Place.OBJECT if target.key else Place.BUCKET
    name, *rest = target.segments
    if name not in _CI_PLACES:
        raise Unsupported(
            f"The CI call {shown('/' + target.key)} is not part of smartcover{_WAY_TO_OBJECT * bool(rest)}"
        )
    alone, with_id = _CI_PLACES[name]
    if not rest:
        return alone
    if with_id is None or len(rest) > 1:
        raise Unsupported(f"No CI call lies below {(with_id or alone).value}{_WAY_TO_OBJECT}")
    return with_id


def _sub_resource(place: Place, call: Call) -> str:
    query = call.query
    if place is Place.BUCKET:
        return next((name for name in _BUCKET_SUBS if name in query), "")
    if place is not Place.OBJECT:
        return ""
    if "uploads" in query:
        return "uploads"
    copies = call.method == "PUT" and call.headers.text("x-cos-copy-source") is not None
    if "uploadId" in query or "partNumber" in query:
        return "upload copy" if copies else "upload"
    return "copy" if copies else ""


def _refuse_unsupported(place: Place, query: Query) -> None:
    if place not in (Place.BUCKET, Place.OBJECT):
        return
    unsupported = _UNSUPPORTED_OF_BUCKETS if place is Place.BUCKET else _UNSUPPORTED_OF_OBJECTS
    for name in query.names():
        if name.lower() in unsupported or (place is Place.OBJECT and name.lower().startswith(_IMAGE_PROCESSING)):
            raise Unsupported(f"The sub-resource {name[:80]!r} of {place.value} is not part of smartcover")
    version = query.text("versionId")
    if version is not None and version != "null":
        raise Unsupported("Versions are not part of smartcover; leave versionId out")
