"""Options of an S3 store that cannot work are refused in words, when the process starts."""

from __future__ import annotations

import pytest

from smartcover.errors import SettingsError
from smartcover.storage.s3_place import S3Options, S3Place

KEYS = {"access_key_id": "id", "secret_access_key": "hidden"}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"endpoint": "127.0.0.1:9000"}, "give https://host"),
        ({"endpoint": "s3.example.com"}, "give https://host"),
        ({"endpoint": "ftp://s3.example.com"}, "give https://host"),
        ({"endpoint": "https://s3.example.com:port"}, "give https://host"),
        ({"endpoint": "https://"}, "give https://host"),
        ({"endpoint": "http://s3.example.com"}, "SMARTCOVER_S3_ALLOW_HTTP=true"),
        ({"endpoint": "https://10.0.0.7:9000"}, "SMARTCOVER_S3_PATH_STYLE=true"),
        ({"endpoint": "https://[::1]:9000"}, "SMARTCOVER_S3_PATH_STYLE=true"),
        ({"secret_access_key": None}, "go together"),
        ({"access_key_id": None}, "go together"),
    ],
)
def test_options_that_do_not_fit_together_are_named(options: dict[str, object], said: str) -> None:
    with pytest.raises(SettingsError) as refused:
        S3Place("s3://", S3Options(**{**KEYS, **options}))  # type: ignore[arg-type]
    assert said in str(refused.value)
    assert "hidden" not in str(refused.value)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"endpoint": "https://s3.example.com"},
        {"endpoint": "http://localhost:9000/", "allow_http": True},
        {"endpoint": "http://10.0.0.7:9000", "allow_http": True, "path_style": True},
        {"access_key_id": None, "secret_access_key": None},
    ],
)
def test_options_that_fit_are_taken(options: dict[str, object]) -> None:
    S3Place("s3://", S3Options(**{**KEYS, **options}))  # type: ignore[arg-type]
