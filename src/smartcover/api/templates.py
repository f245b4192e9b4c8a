"""Saving, changing, listing and deleting templates."""

from __future__ import annotations

from smartcover import service
from smartcover.api.call import Answer, Call, xml_answer
from smartcover.api.edge import Edge
from smartcover.api.parameters import Parameters
from smartcover.ledger import TemplatePage, template_detail
from smartcover.protocol import (
    CATEGORIES,
    CUSTOM,
    parse_template,
    template_deleted,
    template_list,
    template_response,
)


async def create_template(edge: Edge, call: Call) -> Answer:
    """Save cover options under a new id."""
    bucket = await edge.bound_bucket(call)
    body = await call.xml(edge.config.max_xml_bytes)
    template = await service.create_template(
        edge.ledger.templates,
        bucket,
        parse_template(body, max_bytes=edge.config.max_xml_bytes),
        new_id=edge.new_id,
        most=edge.config.max_templates_per_bucket,
        retried_within_seconds=edge.retried_within_seconds(call),
    )
    return xml_answer(template_response(call.request_id, template_detail(template), zone=edge.config.zone))


async def replace_template(edge: Edge, call: Call) -> Answer:
    """Put new options under an id; nothing of the old stays."""
    bucket = await edge.bound_bucket(call)
    body = await call.xml(edge.config.max_xml_bytes)
    request = parse_template(body, max_bytes=edge.config.max_xml_bytes)
    template = await service.replace_template(edge.ledger.templates, bucket, call.entry, request)
    return xml_answer(template_response(call.request_id, template_detail(template), zone=edge.config.zone))


async def list_templates(edge: Edge, call: Call) -> Answer:
    """
    List templates, or find those of the ids given.

    There are no official templates here: that category is empty.
    """
    parameters = Parameters(call)
    bucket = await edge.store.bucket(call.bucket)
    wish = parameters.page()
    category = parameters.choice("category", CATEGORIES)
    ids = parameters.words("ids", most=edge.config.max_jobs_per_query)
    zone = edge.config.zone
    if ids:
        found = await service.find_templates(edge.ledger.templates, bucket, ids)
        details = [template_detail(template) for template in found.templates]
        return xml_answer(template_list(call.request_id, details, page=None, unknown_ids=found.unknown_ids, zone=zone))
    tag = parameters.text("tag")
    page = TemplatePage((), 0)
    if category in (None, CUSTOM):
        page = await edge.ledger.templates.page(
            bucket.name,
            tag=None if tag is None or tag.lower() == "all" else tag,
            name_prefix=parameters.text("name") or "",
            skip=wish.skip,
            limit=wish.size,
        )
    details = [template_detail(template) for template in page.templates]
    return xml_answer(template_list(call.request_id, details, page=wish.of(page.total), zone=zone))


async def delete_template(edge: Edge, call: Call) -> Answer:
    """Forget a template; jobs that used it keep their copy."""
    bucket = await edge.store.bucket(call.bucket)
    await service.delete_template(edge.ledger.templates, bucket, call.entry)
    return xml_answer(template_deleted(call.request_id, call.entry))
