"""Submitting, describing and cancelling jobs over the wire of CI."""

from __future__ import annotations

from typing import Final

from smartcover import service
from smartcover.api.call import Answer, Call, xml_answer
from smartcover.api.edge import Edge
from smartcover.errors import BadParameter
from smartcover.ledger import jobs_detail
from smartcover.protocol import jobs_response, parse_job_request

#: Parameters that may stand beside or instead of `cancel`; the Java SDK sends none at all.
_CANCEL_PARAMETERS: Final = frozenset({"cancel", "x-cos-security-token", "x-ci-security-token"})


async def submit_jobs(edge: Edge, call: Call) -> Answer:
    """
    Accept the jobs of the body and answer from the rows as committed, whatever a fast worker does meanwhile.

    Nothing after the commit can fail but the writing of the answer: the Python SDK sends a 5xx again, and would so
    start the job a second time.
    """
    bucket = await edge.store.bucket(call.bucket)
    body = await call.xml(edge.config.max_xml_bytes)
    request = parse_job_request(body, max_bytes=edge.config.max_xml_bytes)
    jobs = await service.submit(
        edge.ledger, edge.store, bucket, request, new_id=edge.new_id, check_callback=edge.check_callback
    )
    return xml_answer(jobs_response([jobs_detail(job) for job in jobs], zone=edge.config.zone))


async def describe_jobs(edge: Edge, call: Call) -> Answer:
    """Describe one job, or several whose ids are joined by commas; unknown ones are named and are no error."""
    job_ids = [word.strip() for word in call.target.segments[1].split(",") if word.strip()]
    limit = edge.config.max_jobs_per_query
    if not job_ids or len(job_ids) > limit:
        raise BadParameter(f"The path names {len(job_ids)} job ids; give 1 to {limit}, joined by commas")
    bucket = await edge.store.bucket(call.bucket)
    described = await service.describe(edge.ledger, bucket, job_ids)
    details = [jobs_detail(job) for job in described.jobs]
    return xml_answer(jobs_response(details, described.unknown_ids, zone=edge.config.zone))


async def cancel_job(edge: Edge, call: Call) -> Answer:
    """Cancel a job: `PUT /jobs/<id>` with or without `cancel` in the query."""
    for name in call.query.names():
        if name.lower() not in _CANCEL_PARAMETERS and not name.startswith("q-"):
            raise BadParameter(
                f"PUT /jobs/<id> cancels a job and knows no parameter {name[:80]!r}; give cancel or none"
            )
    bucket = await edge.store.bucket(call.bucket)
    await service.cancel(edge.ledger, bucket, call.target.segments[1].strip())
    return Answer()
