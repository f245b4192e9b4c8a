"""
The one table of routes.

A place is what the path names; a sub-resource is what the query or a header makes of it (`?uploads`). A request with
a sub-resource never falls to the route without: `DELETE /?uploads` must not delete the bucket.
"""

from __future__ import annotations

from collections.abc import Mapping
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


ROUTES: Final[Mapping[tuple[Place, str], Mapping[str, Handler]]] = MappingProxyType(
    {
        (Place.JOBS, ""): {"POST": jobs.submit_jobs, "GET": jobs.list_jobs},
        (Place.JOB, ""): {"GET": jobs.describe_jobs, "PUT": jobs.cancel_job},
        (Place.TEMPLATES, ""): {"POST": templates.create_template, "GET": templates.list_templates},
        (Place.TEMPLATE, ""): {"PUT": templates.replace_template, "DELETE": templates.delete_template},
        (Place.QUEUES, ""): {"GET": queues.list_queues},
        (Place.QUEUE, ""): {"PUT": queues.change_queue},
        (Place.MEDIA_BUCKET, ""): {
            "GET": media_buckets.list_media_buckets,
            "POST": media_buckets.bind_bucket,
            "DELETE": media_buckets.unbind_bucket,
        },
        (Place.WORKFLOWS, ""): {"POST": workflows.create_workflow, "GET": workflows.list_workflows},
        (Place.WORKFLOW, ""): {"PUT": workflows.change_workflow, "DELETE": workflows.delete_workflow},
        (Place.TRIGGER, ""): {"POST": workflows.trigger_workflow},
        (Place.RUNS, ""): {"GET": runs.list_runs},
        (Place.RUN, ""): {"GET": runs.describe_run},
        (Place.BATCHES, ""): {"POST": batches.create_batch, "GET": batches.list_batches},
        (Place.BATCH, ""): {"GET": batches.describe_batch, "PUT": batches.cancel_batch},
        (Place.SERVICE, ""): {"GET": buckets.list_buckets},
        (Place.BUCKET, ""): {
            "GET": buckets.list_objects,
            "HEAD": buckets.head_bucket,
            "PUT": buckets.put_bucket,
            "DELETE": buckets.delete_bucket,
            "POST": form_upload.post_object,
        },
        (Place.BUCKET, "uploads"): {"GET": multipart.list_uploads},
        (Place.BUCKET, "delete"): {"POST": objects.delete_objects},
        (Place.BUCKET, "location"): {"GET": buckets.bucket_location},
        (Place.BUCKET, "versioning"): {"GET": buckets.bucket_versioning},
        (Place.OBJECT, ""): {
            "GET": objects.get_object,
            "HEAD": objects.head_object,
            "PUT": objects.put_object,
            "DELETE": objects.delete_object,
        },
        (Place.OBJECT, "copy"): {"PUT": objects.copy_object},
        (Place.OBJECT, "uploads"): {"POST": multipart.start_upload},
        (Place.OBJECT, "upload"): {
            "GET": multipart.list_parts,
            "PUT": multipart.put_part,
            "POST": multipart.complete_upload,
            "DELETE": multipart.abort_upload,
        },
        (Place.OBJECT, "upload copy"): {"PUT": multipart.copy_part},
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


def find_handler(call: Call) -> tuple[str, Handler]:
    """
    Find the route of a request: its template, for whoever counts, and its handler.

    Raises:
        Unsupported: If the call is one of the cloud's that we do not have.
        RefusedWithHeaders: With `MethodNotAllowed`, if the place exists and the method does not fit it.
    """
    place = _place_of(call.target)
    _refuse_unsupported(place, call.query)
    sub = _sub_resource(place, call)
    methods = ROUTES.get((place, sub), {})
    handler = methods.get(call.method)
    if handler is None:
        allowed = ", ".join(sorted(methods))
        error = MethodNotAllowed(f"The method {call.method[:20]!r} does not fit {place.value}; allowed: {allowed}")
        raise RefusedWithHeaders(error, ((b"allow", allowed.encode()),))
    template = _TEMPLATES.get(place, place.value)
    return (f"{template}?{sub.replace(' ', '-')}" if sub else template), handler


def _place_of(target: Target) -> Place:
    if target.kind is Kind.SERVICE:
        return Place.SERVICE
    if target.kind is Kind.OBJECT:
        return Place.OBJECT if target.key else Place.BUCKET
    name, *rest = target.segments
    if name not in _CI_PLACES:
        raise Unsupported(f"/{name} is not part of this version of smartcover")
    alone, with_id = _CI_PLACES[name]
    if not rest:
        return alone
    if with_id is None or len(rest) > 1:
        raise Unsupported(
            f"No CI call lies below {(with_id or alone).value}; an object of that name is reached by writing its "
            "first slash as %2F"
        )
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
