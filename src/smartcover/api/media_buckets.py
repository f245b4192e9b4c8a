"""Which buckets take part in media processing: listing, binding and unbinding."""

from __future__ import annotations

from smartcover import service
from smartcover.api.call import Answer, Call, xml_answer
from smartcover.api.edge import Edge
from smartcover.api.parameters import Parameters
from smartcover.protocol import MediaBucketDetail, media_bucket_bound, media_bucket_list, media_bucket_unbound
from smartcover.storage import BucketInfo


async def list_media_buckets(edge: Edge, call: Call) -> Answer:
    """List the key pair's buckets that take part, whatever bucket the request names or does not name."""
    parameters = Parameters(call)
    wish = parameters.page()
    found = await service.list_bound_buckets(
        edge.ledger.bindings,
        edge.store,
        regions=parameters.words("regions", most=edge.config.max_jobs_per_query),
        names=parameters.words("bucketNames", most=edge.config.max_jobs_per_query),
        name_prefix=parameters.text("bucketName") or "",
        skip=wish.skip,
        limit=wish.size,
        visible=call.access.covers,
    )
    details = [_detail(bucket) for bucket in found.buckets]
    return xml_answer(media_bucket_list(call.request_id, details, page=wish.of(found.total), zone=edge.config.zone))


async def bind_bucket(edge: Edge, call: Call) -> Answer:
    """Let the bucket take part; one that does already is answered alike."""
    bucket = await edge.store.bucket(call.bucket)
    await service.bind_bucket(edge.ledger.bindings, bucket)
    return xml_answer(media_bucket_bound(call.request_id, _detail(bucket), zone=edge.config.zone))


async def unbind_bucket(edge: Edge, call: Call) -> Answer:
    """Let the bucket take no part any more; its objects stay, and accepted jobs run to their end."""
    bucket = await edge.store.bucket(call.bucket)
    await service.unbind_bucket(edge.ledger.bindings, bucket)
    return xml_answer(media_bucket_unbound(call.request_id, bucket.name))


def _detail(bucket: BucketInfo) -> MediaBucketDetail:
    return MediaBucketDetail(bucket_id=bucket.name, region=bucket.region, create_time=bucket.created_at)
