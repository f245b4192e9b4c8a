"""Saving, changing, listing and forgetting templates."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from smartcover.errors import UnknownTemplate
from smartcover.ledger import Template, TemplatePage
from smartcover.protocol import TemplateRequest, is_id
from smartcover.storage import BucketInfo


class TemplateSource(Protocol):
    """What using a template needs of the ledger."""

    async def get(self, bucket: str, template_id: str) -> Template:
        """Give a template of the bucket, or raise `UnknownTemplate`."""


class TemplateLedger(TemplateSource, Protocol):
    """What these use cases need of the ledger."""

    async def add(
        self, template_id: str, bucket: str, *, tag: str, name: str, smart_cover: Mapping[str, str], most: int
    ) -> Template:
        """Save a template, or raise `BadParameter` if there are `most` already."""

    async def added_lately(
        self, bucket: str, *, tag: str, name: str, smart_cover: Mapping[str, str], seconds: float
    ) -> Template | None:
        """Give the newest template that says the same and was added within the time."""

    async def replace(
        self, bucket: str, template_id: str, *, tag: str, name: str, smart_cover: Mapping[str, str]
    ) -> Template:
        """Put new content into a template."""

    async def page(
        self,
        bucket: str,
        *,
        template_ids: Sequence[str] | None = None,
        tag: str | None = None,
        name_prefix: str = "",
        skip: int = 0,
        limit: int = 10,
    ) -> TemplatePage:
        """List templates that fit everything given."""

    async def delete(self, bucket: str, template_id: str) -> None:
        """Forget a template."""


@dataclass(frozen=True, slots=True)
class FoundTemplates:
    """The templates asked for by id, in the order asked, and the ids that name none in this bucket."""

    templates: tuple[Template, ...]
    unknown_ids: tuple[str, ...]


async def create_template(
    ledger: TemplateLedger,
    bucket: BucketInfo,
    request: TemplateRequest,
    *,
    new_id: Callable[[str], str],
    most: int,
    retried_within_seconds: float | None = None,
) -> Template:
    """
    Save a template. Names need not be unique: the id tells templates apart.

    Args:
        retried_within_seconds: Set when an SDK says that it sends the template again: it is answered with one that
            says the same and was saved within that time, if there is one.

    Raises:
        BadParameter: If the bucket has `most` templates already.
    """
    smart_cover = dict(request.smart_cover.sent)
    if retried_within_seconds is not None:
        earlier = await ledger.added_lately(
            bucket.name, tag=request.tag, name=request.name, smart_cover=smart_cover, seconds=retried_within_seconds
        )
        if earlier is not None:
            return earlier
    return await ledger.add(
        new_id("t"), bucket.name, tag=request.tag, name=request.name, smart_cover=smart_cover, most=most
    )


async def replace_template(
    ledger: TemplateLedger, bucket: BucketInfo, template_id: str, request: TemplateRequest
) -> Template:
    """
    Put new content into a template; what the request leaves out is back at its default. No accepted job changes.

    Raises:
        UnknownTemplate: If the bucket has no such template.
    """
    _require_id(bucket, template_id)
    return await ledger.replace(
        bucket.name,
        template_id,
        tag=request.tag,
        name=request.name,
        smart_cover=dict(request.smart_cover.sent),
    )


async def find_templates(ledger: TemplateLedger, bucket: BucketInfo, template_ids: Sequence[str]) -> FoundTemplates:
    """Look templates up by id; an id that is asked for twice is answered once."""
    asked = tuple(dict.fromkeys(template_ids))
    possible = [template_id for template_id in asked if is_id(template_id, "t")]
    page = await ledger.page(bucket.name, template_ids=possible, limit=len(possible)) if possible else None
    found = {} if page is None else {template.template_id: template for template in page.templates}
    return FoundTemplates(
        templates=tuple(found[template_id] for template_id in asked if template_id in found),
        unknown_ids=tuple(template_id for template_id in asked if template_id not in found),
    )


async def delete_template(ledger: TemplateLedger, bucket: BucketInfo, template_id: str) -> None:
    """
    Forget a template; jobs that used it keep their copy of its options.

    Raises:
        UnknownTemplate: If the bucket has no such template.
    """
    _require_id(bucket, template_id)
    await ledger.delete(bucket.name, template_id)


async def template_of_job(ledger: TemplateSource, bucket: BucketInfo, template_id: str, path: str) -> Template:
    """
    Give the template that a job or a node of a workflow names.

    Raises:
        UnknownTemplate: Naming `path`, the node that held the id.
    """
    unknown = UnknownTemplate(
        f"{path} is {template_id[:80]!r}, which bucket {bucket.name} does not have; create it, or give the options "
        "in SmartCover"
    )
    if not is_id(template_id, "t"):
        raise unknown
    try:
        return await ledger.get(bucket.name, template_id)
    except UnknownTemplate as error:
        raise unknown from error


def _require_id(bucket: BucketInfo, template_id: str) -> None:
    if not is_id(template_id, "t"):
        raise UnknownTemplate(f"template {template_id[:80]!r} does not exist in bucket {bucket.name}")
