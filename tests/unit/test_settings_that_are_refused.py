"""Wrong settings are refused when they are read, by name and with a way out."""

from __future__ import annotations

import pytest

from smartcover.errors import SettingsError
from smartcover.settings import read_settings


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("SMARTCOVER_DATABASE_URL", "mysql://u:hidden@h/x", "'mysql'"),
        ("SMARTCOVER_DATABASE_URL", "h/x", "postgresql://"),
        ("SMARTCOVER_DATABASE_URL", "postgresql://u:hidden@h:abc/x", "port"),
        ("SMARTCOVER_DATABASE_URL", "postgresql://u:hid/den@h:5432/x", "%2F"),
        ("SMARTCOVER_DATABASE_URL", "postgresql://u:hidden@h:1,i:70000/x", "port"),
        ("SMARTCOVER_LEASE_SECONDS", "inf", "finite"),
        ("SMARTCOVER_CALLBACK_TIMEOUT_SECONDS", "nan", "finite"),
        ("SMARTCOVER_RETENTION_JOBS_DAYS", "inf", "finite"),
    ],
)
def test_a_wrong_setting_is_named_without_its_secret(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, said: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as refused:
        read_settings()
    assert name in str(refused.value)
    assert said in str(refused.value)
    assert "hidden" not in str(refused.value)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u:p@h/x",
        "postgres://u:p@127.0.0.1:5432/x?sslmode=require",
        "postgresql://u:p@[::1]:5432/x",
        "postgresql://u:p@h:1,i:2/x",
        "postgresql:///x?host=/var/run/postgresql",
    ],
)
def test_the_forms_of_a_database_url_are_taken(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("SMARTCOVER_DATABASE_URL", url)
    taken = read_settings().database_url
    assert taken is not None
    assert taken.get_secret_value() == url
