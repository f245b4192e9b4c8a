"""The fake store keeps the contract."""

from __future__ import annotations

import pytest

from smartcover.storage import BucketStore, MemoryStore
from tests.contracts.bucket_store_suite import LIMIT_BYTES, B, BucketStoreContract


class TestMemoryStore(BucketStoreContract):
    @pytest.fixture
    async def store(self) -> BucketStore:
        store = MemoryStore(max_object_bytes=LIMIT_BYTES)
        await store.create_bucket(B, "local")
        return store
