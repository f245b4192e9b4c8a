"""Submitting, describing, listing and cancelling jobs."""

from __future__ import annotations

import hashlib
import re
from datetime import timedelta
from typing import Final

from smartcover import service
from smartcover.api.call import Answer, Call, xml_answer
from smartcover.api.edge import Edge
from smartcover.api.parameters import Parameters, require_cancel
from smartcover.errors import BadParameter
from smartcover.ledger import JobFilter, JobPosition, JobState, Submission, jobs_detail
from smartcover.protocol import STATES, jobs_response, parse_job_request, read_token, write_token

_KEY_HEADER: Final = "x-smartcover-idempotency-key"
_RETRY_HEADER: Final = "x-cos-sdk-retry"
_KEY: Final = re.compile(r"[\x21-\x7e]{1,128}", re.ASCII)
_ALL: Final = "All"
_DESCENDING, _ASCENDING = "Desc", "Asc"
#: What a time given in whole seconds leaves out of its second: answers show times cut to seconds.
_REST_OF_SECOND: Final = timedelta(microseconds=999_999)


async def submit_jobs(edge: Edge, call: Call) -> Answer:
    """
    Accept the jobs of the body and answer from the rows as committed, whatever a fast worker does meanwhile.

    Nothing after the commit can fail but the writing of the answer: the Python SDK sends a 5xx again, and would so
    start the job a second time. For an answer that got lost on its way there is the retry mark of the SDK.
    """
    bucket = await edge.store.bucket(call.bucket)
    body = await call.xml(edge.config.max_xml_bytes)
    request = parse_job_request(body, max_bytes=edge.config.max_xml_bytes)
    jobs = await service.submit(
        edge.ledger,
        edge.store,
        bucket,
        request,
        new_id=edge.new_id,
        check_callback=edge.check_callback,
        check_output=call.may_submit_to,
        submission=_submission(edge, call, body),
    )
    return xml_answer(jobs_response([jobs_detail(job) for job in jobs], zone=edge.config.zone))


async def describe_jobs(edge: Edge, call: Call) -> Answer:
    """Describe one job, or several whose ids are joined by commas; unknown ones are named and are no error."""
    job_ids = [word.strip() for word in call.entry.split(",") if word.strip()]
    limit = edge.config.max_jobs_per_query
    if not job_ids or len(job_ids) > limit:
        raise BadParameter(f"The path names {len(job_ids)} job ids; give 1 to {limit}, joined by commas")
    bucket = await edge.store.bucket(call.bucket)
    described = await service.describe(edge.ledger, bucket, job_ids)
    details = [jobs_detail(job) for job in described.jobs]
    return xml_answer(jobs_response(details, described.unknown_ids, zone=edge.config.zone))


async def list_jobs(edge: Edge, call: Call) -> Answer:
    """List a page of a bucket's jobs; a filter that nothing fits gives an empty page."""
    parameters = Parameters(call)
    bucket = await edge.store.bucket(call.bucket)
    states = parameters.choices("states", (_ALL, *STATES))
    until = parameters.moment("endCreationTime")
    wanted = JobFilter(
        states=() if _ALL in states else tuple(JobState(state) for state in states),
        queue_id=parameters.text("queueId"),
        tag=parameters.text("tag"),
        workflow_id=parameters.text("workflowId"),
        batch_id=parameters.text("inventoryTriggerJobId"),
        input_object=parameters.text("inputObject"),
        since=parameters.moment("startCreationTime"),
        until=until + _REST_OF_SECOND if until is not None and until.microsecond == 0 else until,
    )
    token = parameters.text("nextToken")
    page = await edge.ledger.list_jobs(
        bucket.name,
        wanted,
        newest_first=parameters.choice("orderByTime", (_DESCENDING, _ASCENDING)) != _ASCENDING,
        after=None if token is None else JobPosition(*read_token(token)),
        limit=parameters.size(),
    )
    next_token = "" if page.next is None else write_token(page.next.created_at, page.next.seq)
    details = [jobs_detail(job) for job in page.jobs]
    return xml_answer(jobs_response(details, zone=edge.config.zone, next_token=next_token))


async def cancel_job(edge: Edge, call: Call) -> Answer:
    """Cancel a job: `PUT /jobs/<id>` with or without `cancel` in the query."""
    require_cancel(call, "/jobs/<id>")
    bucket = await edge.store.bucket(call.bucket)
    retried = edge.retried_within_seconds(call) is not None
    await service.cancel(edge.ledger, edge.store, bucket, call.entry, retried=retried)
    return Answer()


def _submission(edge: Edge, call: Call, body: bytes) -> Submission:
    token = call.headers.text(_KEY_HEADER)
    if token is not None and _KEY.fullmatch(token) is None:
        raise BadParameter(
            f"The header {_KEY_HEADER} is {token[:80]!r}; give 1 to 128 printable ASCII characters without spaces"
        )
    return Submission(
        secret_id=call.secret_id,
        digest=hashlib.sha256(body).digest(),
        token=token,
        retried=(call.headers.text(_RETRY_HEADER) or "").lower() == "true",
        token_seconds=edge.config.idempotency_key_seconds,
        retry_seconds=edge.config.sdk_retry_seconds,
    )
