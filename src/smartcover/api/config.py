"""What the HTTP edge is told when it is made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta, timezone
from typing import Protocol

from smartcover.protocol import MAX_KEY_BYTES
from smartcover.service import Access


class KeyRing(Protocol):
    """The key pairs that may sign requests."""

    def secret_of(self, secret_id: str) -> Sequence[str] | None:
        """
        Give the secret keys of a SecretId, several while one is being replaced; None when it is unknown.

        Raises:
            LedgerUnavailable: If it cannot be known whether the key pair is still in force.
        """

    def access_of(self, secret_id: str) -> Access:
        """Say what a SecretId may do: nothing, when it is unknown or was revoked this moment."""


@dataclass(frozen=True, slots=True)
class EdgeConfig:
    """
    Limits and defaults of the HTTP edge.

    `body_min_bytes_per_second` is the least average rate of a request body, counted while we wait for the client:
    without it a body of one byte per idle timeout would hold a connection for years. `max_jobs_per_query` holds for
    every list of ids or names in a request. A submit is recognised as a repetition for `idempotency_key_seconds` by
    the client's key, and for `sdk_retry_seconds` by its body when an SDK marks it as a retry. `events_token` lets
    another store post its notifications; None takes none.
    """

    region: str = "local"
    default_bucket: str | None = None
    clock_skew_seconds: int = 900
    require_signed_host: bool = False
    max_object_bytes: int = 5 << 30
    max_xml_bytes: int = 1 << 20
    max_header_bytes: int = 64 << 10
    max_headers: int = 200
    max_key_bytes: int = MAX_KEY_BYTES
    body_idle_timeout_seconds: float = 30.0
    body_min_bytes_per_second: int = 1024
    write_stall_timeout_seconds: float = 120.0
    max_jobs_per_query: int = 100
    max_page_size: int = 100
    max_templates_per_bucket: int = 1000
    idempotency_key_seconds: float = 86_400.0
    sdk_retry_seconds: float = 60.0
    events_token: str | None = field(default=None, repr=False)
    time_zone_offset_minutes: int = 480

    @property
    def zone(self) -> timezone:
        """The zone in which times are printed."""
        return timezone(timedelta(minutes=self.time_zone_offset_minutes))
