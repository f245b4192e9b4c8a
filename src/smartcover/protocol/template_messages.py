"""Templates on the wire: what a client saves, and what the template calls answer."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import tzinfo
from typing import Final

from smartcover.errors import BadParameter
from smartcover.protocol.fields import Fields, shown
from smartcover.protocol.messages import COVER_NODES, TAG, Message, Moment, SmartCoverParams
from smartcover.protocol.paging import Page
from smartcover.protocol.times import CHINA_STANDARD_TIME, format_time
from smartcover.protocol.xml_codec import MAX_BODY_BYTES, Tree, parse_request

MAX_TEMPLATE_NAME_CHARACTERS: Final = 64
CUSTOM: Final = "Custom"
OFFICIAL: Final = "Official"
CATEGORIES: Final = (CUSTOM, OFFICIAL)

_NAME: Final = re.compile(rf"[\w\-*]{{1,{MAX_TEMPLATE_NAME_CHARACTERS}}}")


class TemplateRequest(Message):
    """A template as a client defines it."""

    tag: str
    name: str
    smart_cover: SmartCoverParams


class TemplateDetail(Message):
    """A template as the outside sees it."""

    template_id: str
    bucket_id: str
    tag: str
    name: str
    smart_cover: SmartCoverParams
    create_time: Moment
    update_time: Moment


def parse_template(body: bytes, *, max_bytes: int = MAX_BODY_BYTES) -> TemplateRequest:
    """
    Read the body of a create or an update.

    Raises:
        MissingBody: If the body is empty.
        MalformedBody: If it is not XML with the root `Request`, or too large.
        BadParameter: If a node is missing or out of range; the text names it.
    """
    request = Fields(parse_request(body, max_bytes=max_bytes), "Request")
    tag = request.required_text("Tag").strip()
    if tag != TAG:
        raise BadParameter(f"{request.path_of('Tag')} is {shown(tag)}; only {TAG} is done here")
    name = request.required_text("Name").strip()
    if _NAME.fullmatch(name) is None:
        raise BadParameter(
            f"{request.path_of('Name')} is {shown(name)}; give 1 to {MAX_TEMPLATE_NAME_CHARACTERS} letters, digits, "
            "'_', '-' and '*'"
        )
    return TemplateRequest(tag=TAG, name=name, smart_cover=SmartCoverParams.read(request.required_child("SmartCover")))


def template_response(
    request_id: str, detail: TemplateDetail, *, zone: tzinfo = CHINA_STANDARD_TIME
) -> dict[str, Tree]:
    """Build the answer to a create or an update."""
    return {"Response": {"RequestId": request_id, "Template": _template(detail, zone)}}


def template_list(
    request_id: str,
    details: Sequence[TemplateDetail],
    *,
    page: Page | None,
    unknown_ids: Sequence[str] = (),
    zone: tzinfo = CHINA_STANDARD_TIME,
) -> dict[str, Tree]:
    """
    Build the answer to a list.

    Args:
        page: The counts; None when templates were asked for by id, which is answered without counts.
    """
    response: dict[str, Tree] = {"RequestId": request_id}
    if page is not None:
        response |= page.tree()
    response["TemplateList"] = [_template(detail, zone) for detail in details]
    if unknown_ids:
        response["NonExistTIDs"] = {"TemplateId": list(unknown_ids)}
    return {"Response": response}


def template_deleted(request_id: str, template_id: str) -> dict[str, Tree]:
    """Build the answer to a delete."""
    return {"Response": {"RequestId": request_id, "TemplateId": template_id}}


def _template(detail: TemplateDetail, zone: tzinfo) -> Tree:
    cover = detail.smart_cover
    return {
        "Tag": detail.tag,
        "Name": detail.name,
        "TemplateId": detail.template_id,
        "BucketId": detail.bucket_id,
        "Category": CUSTOM,
        "SmartCover": {node: text for node in COVER_NODES if (text := cover.text(node)) is not None},
        "CreateTime": format_time(detail.create_time, zone),
        "UpdateTime": format_time(detail.update_time, zone),
    }
