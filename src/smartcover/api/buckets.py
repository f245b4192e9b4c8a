"""Making, describing, listing and deleting buckets, and listing what is in one."""

from __future__ import annotations

from typing import Final

from smartcover.api.call import Answer, Call, xml_answer
from smartcover.api.edge import Edge
from smartcover.errors import BadParameter
from smartcover.protocol import (
    BucketSummary,
    ObjectListing,
    ObjectSummary,
    list_all_my_buckets_result,
    list_bucket_result,
)
from smartcover.service import create_bucket
from smartcover.storage import ObjectPage

_MAX_PAGE: Final = 1000


async def put_bucket(edge: Edge, call: Call) -> Answer:
    """Make a bucket with its default queue; one that exists stays as it is and is answered alike."""
    await call.body.whole(edge.config.max_xml_bytes)  # a CreateBucketConfiguration, of which nothing concerns us
    region = call.request_target.host_region or edge.config.region
    await create_bucket(edge.store, edge.ledger, call.bucket, region)
    return Answer()


async def head_bucket(edge: Edge, call: Call) -> Answer:
    """Tell that a bucket exists, and in which region."""
    bucket = await edge.store.bucket(call.bucket)
    return Answer(headers=((b"x-cos-bucket-region", bucket.region.encode("latin-1", "replace")),))


async def delete_bucket(edge: Edge, call: Call) -> Answer:
    """Delete an empty bucket."""
    await edge.store.delete_bucket(call.bucket)
    return Answer(status=204)


async def bucket_location(edge: Edge, call: Call) -> Answer:
    """Tell the region of a bucket."""
    bucket = await edge.store.bucket(call.bucket)
    return xml_answer({"LocationConstraint": bucket.region})


async def bucket_versioning(edge: Edge, call: Call) -> Answer:
    """Tell that versioning was never switched on, which is all there is to tell."""
    await edge.store.bucket(call.bucket)
    return xml_answer({"VersioningConfiguration": ""})


async def list_buckets(edge: Edge, call: Call) -> Answer:
    """List the buckets that the key pair may use."""
    buckets = [bucket for bucket in await edge.store.buckets() if call.access.covers(bucket.name)]
    summaries = [BucketSummary(bucket.name, bucket.region, bucket.created_at) for bucket in buckets]
    return xml_answer(list_all_my_buckets_result(call.secret_id, summaries))


async def list_objects(edge: Edge, call: Call) -> Answer:
    """List a page of a bucket's objects."""
    query = call.query
    encoding = query.text("encoding-type")
    if encoding is not None and encoding.lower() != "url":
        raise BadParameter(f"The parameter encoding-type is {encoding[:40]!r}; give url or leave it out")
    prefix, delimiter, marker = query.text("prefix") or "", query.text("delimiter") or "", query.text("marker") or ""
    limit = query.integer("max-keys", default=_MAX_PAGE, low=0, high=_MAX_PAGE)
    if limit == 0:
        await edge.store.bucket(call.bucket)
        page = ObjectPage((), (), None)
    else:
        page = await edge.store.list(call.bucket, prefix=prefix, delimiter=delimiter, marker=marker, limit=limit)
    return xml_answer(
        list_bucket_result(
            ObjectListing(
                bucket=call.bucket,
                objects=[
                    ObjectSummary(entry.key, entry.size_bytes, entry.etag, entry.last_modified, call.secret_id)
                    for entry in page.objects
                ],
                common_prefixes=page.common_prefixes,
                prefix=prefix,
                marker=marker,
                delimiter=delimiter,
                max_keys=limit,
                next_marker=page.next_marker,
                encoding_type=encoding,
            )
        )
    )
