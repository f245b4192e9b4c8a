"""What a Host says: bucket and region, the service itself, or nothing of either."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from smartcover.errors import BadBucketName
from smartcover.protocol import SERVICE_LABELS

_BUCKET_WORD: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?", re.ASCII)
_REGION_WORD: Final = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)+", re.ASCII)
#: Narrower than a region word: `smart.cover.ci.my-company.com` is a name of one's own and no bucket `smart.cover`.
_CLOUD_REGION: Final = re.compile(r"(?:ap|eu|me|na|sa)-[a-z]+(?:-[a-z0-9]+)*", re.ASCII)
_ADDRESS: Final = re.compile(r"\d{1,3}(?:\.\d{1,3}){3}", re.ASCII)


class HostParts(NamedTuple):
    """
    What a Host names.

    `is_service` tells that it is `ci.R…`, `cos.R…` or `service.cos…`, which name the service and no bucket.
    `on_ci` tells that it is `B.ci.R…`, whatever B is. `misnamed` is what stands where the bucket does and can be none:
    such a Host means a bucket, and no other one.
    """

    bucket: str | None = None
    region: str | None = None
    is_service: bool = False
    misnamed: str | None = None
    on_ci: bool = False


def could_be_bucket(word: str) -> bool:
    """Tell whether a word has the form of a bucket's name: 1 to 63 of `a-z 0-9 -`, no hyphen at an end."""
    return _BUCKET_WORD.fullmatch(word) is not None


def split_host(host: str) -> HostParts:
    """
    Take bucket and region out of a Host: `B.ci.R.<anything>`, or another of the cloud's labels, or `ci.R…` without B.

    A word counts as a region only if it looks like one (`ap-chongqing`), so that `B.cos.example.com` names none. A
    name with a dot counts as a bucket's, which it cannot be, only in front of one of the cloud's regions.
    """
    name = host.lower()
    if name.startswith("["):
        return HostParts()
    name = name.partition(":")[0].rstrip(".")
    labels = name.split(".")
    if _ADDRESS.fullmatch(name) is not None or len(labels) < 2:
        return HostParts()
    if labels[:2] == ["service", "cos"]:
        return HostParts(is_service=True)
    if labels[1] in SERVICE_LABELS:
        on_ci = labels[1] == "ci"
        if not could_be_bucket(labels[0]):
            return HostParts(misnamed=labels[0], on_ci=on_ci)
        return HostParts(labels[0], _region_of(labels[2:]), on_ci=on_ci)
    if labels[0] in SERVICE_LABELS:
        return HostParts(region=_region_of(labels[1:]), is_service=True)
    return HostParts(misnamed=_dotted_name(labels))


def bad_bucket_name(word: str) -> BadBucketName:
    """Say that a Host names a bucket that cannot be; taken for no bucket, its calls would go to another one."""
    return BadBucketName(
        f"No bucket is called {word[:80]!r}, as the host name says; give 1 to 63 of a-z, 0-9 and '-', no '-' at an end"
    )


def _region_of(labels: list[str]) -> str | None:
    return labels[0] if labels and _REGION_WORD.fullmatch(labels[0]) is not None else None


def _dotted_name(labels: list[str]) -> str | None:
    for at in range(2, len(labels) - 1):
        if labels[at] in SERVICE_LABELS and _CLOUD_REGION.fullmatch(labels[at + 1]) is not None:
            return ".".join(labels[:at])
    return None
