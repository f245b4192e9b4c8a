"""Where in an S3-compatible store our buckets and keys lie."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, cast
from urllib.parse import urlsplit
from uuid import UUID

import obstore
from obstore.store import S3Store as ObjectStore

from smartcover.errors import BadBucketName, BadKey, SettingsError
from smartcover.storage.rules import check_bucket_name, check_key
from smartcover.storage.s3_profile import SharedKeys, keys_of_profile

#: Under this folder of each bucket lies what is not published yet; no client sees it or names a key in it.
RESERVED = ".smartcover-staging"

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_CONNECT_TIMEOUT_SECONDS = 5.0
#: Longest time of one request; long enough for the largest part that we send and for a client that reads slowly.
_REQUEST_TIMEOUT_SECONDS = 3600.0
_RETRIES = 3
_RETRY_TIMEOUT_SECONDS = 15.0
_LISTING_SIGNED_FOR = timedelta(seconds=300)
_MAX_PREFIX_BYTES = 100


@dataclass(frozen=True, slots=True)
class S3Options:
    """
    How to reach the store; what is None comes from the usual AWS_* variables or from the machine's role. Without an
    access key, `shared_keys` are looked for before the machine's role.

    `path_style` puts the bucket's name into the path, as MinIO and Ceph want it, and not into the host.
    """

    endpoint: str | None = None
    region: str | None = None
    access_key_id: str | None = None
    secret_access_key: str | None = field(default=None, repr=False)
    session_token: str | None = field(default=None, repr=False)
    path_style: bool = False
    allow_http: bool = False
    shared_keys: SharedKeys | None = None


class S3Place:
    """
    The way from a bucket and key of ours to a store bucket and a path in it.

    With `s3://` each bucket is the store's bucket of that name; with `s3://name/prefix` all are folders of one.
    """

    def __init__(self, url: str, options: S3Options) -> None:
        """
        Raises:
            SettingsError: If `url` is no such address, the options do not fit together, or the profile of
                `shared_keys` cannot be used.
        """
        scheme, _, rest = url.partition("://")
        name, _, prefix = rest.partition("/")
        prefix = prefix.strip("/")
        if scheme != "s3" or (prefix and (not name or _unreachable(prefix))):
            raise SettingsError(f"SMARTCOVER_STORAGE is {url!r}; give s3:// or s3://store-bucket/prefix")
        if len(prefix.encode()) > _MAX_PREFIX_BYTES:
            raise SettingsError(f"the prefix in SMARTCOVER_STORAGE has more than {_MAX_PREFIX_BYTES} bytes; shorten it")
        _check_options(options)
        self._name = name
        self._prefix = f"{prefix}/" if prefix else ""
        self._options = options
        shared = None if options.access_key_id else options.shared_keys
        self._provider = None if shared is None else keys_of_profile(shared)
        self._stores: dict[str, ObjectStore] = {}

    def store(self, bucket: str) -> ObjectStore:
        """Give the store's own bucket in which a bucket of ours lies."""
        name = self._name or bucket
        if name not in self._stores:
            self._stores[name] = self._open(name)
        return self._stores[name]

    def store_name(self, bucket: str) -> str:
        """Name the store's own bucket."""
        return self._name or bucket

    def root(self, bucket: str) -> str:
        """Give what stands before every key of the bucket."""
        return f"{self._prefix}{bucket}/" if self._name else ""

    def path(self, bucket: str, key: str) -> str:
        """
        Give the path of an object.

        Raises:
            BadKey: If the key is one that the store's client cannot reach, or lies in our own folder.
        """
        check_reachable(key)
        return self.root(bucket) + key

    def locate(self, store_bucket: str, path: str) -> tuple[str, str] | None:
        """Go the way back: from a path of the store to a bucket and key of ours, or None if it is none."""
        bucket, key = store_bucket, path
        if self._name:
            if store_bucket != self._name or not path.startswith(self._prefix):
                return None
            bucket, _, key = path[len(self._prefix) :].partition("/")
        try:
            check_bucket_name(bucket)
            check_reachable(key)
        except (BadBucketName, BadKey):
            return None
        return bucket, key

    def staging(self, bucket: str, blob: UUID, owner: str = "") -> str:
        """Give the path of bytes that are not published yet; those of one owner lie together."""
        return f"{self.staging_root(bucket, owner)}{blob.hex}"

    def staging_root(self, bucket: str, owner: str = "") -> str:
        """Give the folder of what is not published yet, or of what one owner staged."""
        return f"{self.root(bucket)}{RESERVED}/{owner}/" if owner else f"{self.root(bucket)}{RESERVED}/"

    def signed_listing(self, bucket: str, query: str) -> str:
        """
        Sign the address of a listing of the store bucket, for `query` in the form of a URL.

        The client signs objects only, with a query if its endpoint has one; the object's path then ends up as the
        value of a parameter of ours, which S3 signs and otherwise ignores as it does all that begin with `x-`.
        """
        name = self.store_name(bucket)
        base = obstore.sign(self.store(bucket), "GET", "k", _LISTING_SIGNED_FOR).partition("?")[0].removesuffix("/k")
        listing = self._open(name, endpoint=f"{base}?{query}&x-smartcover-nothing=")
        return obstore.sign(listing, "GET", "k", _LISTING_SIGNED_FOR)

    def _open(self, name: str, endpoint: str | None = None) -> ObjectStore:
        """Open a store bucket; with `endpoint` at that address, which names the bucket already."""
        options = self._options
        given: dict[str, Any] = {
            "endpoint": options.endpoint,
            "region": options.region,
            "access_key_id": options.access_key_id,
            "secret_access_key": options.secret_access_key,
            "session_token": options.session_token,
        }
        if options.endpoint and not options.path_style:
            # The client puts the bucket into the path of a given endpoint, unless the host names it already.
            scheme, _, host = options.endpoint.rstrip("/").partition("://")
            given["endpoint"] = f"{scheme}://{host}" if host.startswith(f"{name}.") else f"{scheme}://{name}.{host}"
        if endpoint is not None:
            given["endpoint"] = endpoint
        return ObjectStore(
            name,
            config=cast("Any", {key: value for key, value in given.items() if value is not None}),
            credential_provider=cast("Any", self._provider),
            virtual_hosted_style_request=endpoint is not None or not options.path_style,
            client_options={
                "allow_http": options.allow_http,
                "connect_timeout": timedelta(seconds=_CONNECT_TIMEOUT_SECONDS),
                "timeout": timedelta(seconds=_REQUEST_TIMEOUT_SECONDS),
            },
            retry_config={
                "max_retries": _RETRIES,
                "retry_timeout": timedelta(seconds=_RETRY_TIMEOUT_SECONDS),
            },
        )


def _check_options(options: S3Options) -> None:
    """Refuse what the client would fail at with each request, or not even in words."""
    if (options.access_key_id is None) != (options.secret_access_key is None):
        raise SettingsError(
            "SMARTCOVER_S3_ACCESS_KEY_ID and SMARTCOVER_S3_SECRET_ACCESS_KEY go together; set both or neither"
        )
    if options.endpoint is None:
        return
    try:
        parts = urlsplit(options.endpoint)
        host, _ = parts.hostname, parts.port
    except ValueError:
        host = None
    if host is None or parts.scheme not in ("http", "https"):
        raise SettingsError(f"SMARTCOVER_S3_ENDPOINT is {options.endpoint!r}; give https://host or http://host:port")
    if parts.scheme == "http" and not options.allow_http:
        raise SettingsError(
            f"SMARTCOVER_S3_ENDPOINT is {options.endpoint!r}, without TLS; set SMARTCOVER_S3_ALLOW_HTTP=true if the "
            "network to the store can be trusted, or give https://"
        )
    if not options.path_style and _is_address(host):
        raise SettingsError(
            f"SMARTCOVER_S3_ENDPOINT is {options.endpoint!r}: no bucket's name can stand before an address; set "
            "SMARTCOVER_S3_PATH_STYLE=true, or give a name"
        )


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def check_reachable(key: str) -> None:
    """
    Accept a key that an object of the store can have.

    Raises:
        BadKey: With the reason, also where the key would silently name another object.
    """
    check_key(key)
    reason = _unreachable(key)
    if reason is not None:
        raise BadKey(f"The object key {key[:80]!r} cannot be kept in an S3 store: {reason}. Choose another key.")


def _unreachable(key: str) -> str | None:
    """Tell why the store's client cannot name a key; None when it can."""
    segments = key.split("/")
    if "" in segments:
        return "it begins or ends with '/' or holds '//'"
    if "." in segments or ".." in segments:
        return "it has '.' or '..' between slashes"
    if _CONTROL.search(key):
        return "it holds a control character"
    if segments[0] == RESERVED:
        return f"{RESERVED}/ is reserved"
    return None
