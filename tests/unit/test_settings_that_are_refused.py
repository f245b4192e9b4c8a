"""Wrong settings are refused when they are read, by name and with a way out."""

from __future__ import annotations

import pytest

from smartcover.errors import SettingsError
from smartcover.settings import Settings, read_settings, strange_variables


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("SMARTCOVER_DATABASE_URL", "mysql://u:hidden@h/x", "'mysql'"),
        ("SMARTCOVER_DATABASE_URL", "h/x", "postgresql://"),
        ("SMARTCOVER_DATABASE_URL", "postgresql://u:hidden@h:abc/x", "port"),
        ("SMARTCOVER_DATABASE_URL", "postgresql://u:hid/den@h:5432/x", "%2F"),
        ("SMARTCOVER_DATABASE_URL", "postgresql://u:hidden@h:1,i:70000/x", "port"),
        ("SMARTCOVER_EVENTS_TOKEN", "hidden", "it has 6 characters; give 8 or more"),
        ("SMARTCOVER_LEASE_SECONDS", "inf", "finite"),
        ("SMARTCOVER_CALLBACK_TIMEOUT_SECONDS", "nan", "finite"),
        ("SMARTCOVER_RETENTION_JOBS_DAYS", "inf", "finite"),
        ("SMARTCOVER_DEFAULT_BUCKET", "Videos_1", "'Videos_1' is not valid"),
        ("SMARTCOVER_DEFAULT_BUCKET", "", "1 to 63"),
        ("SMARTCOVER_DEFAULT_BUCKET", "a/b", "1 to 63"),
        ("SMARTCOVER_BUCKETS", "good-1250000000,Bad", "'Bad' is not valid"),
        ("SMARTCOVER_WORKER_CONCURRENCY", "two", "is 'two': input should be a valid integer"),
        ("SMARTCOVER_LEASE_SECONDS", "-3", "is '-3': input should be greater than or equal to 2"),
        ("SMARTCOVER_LEASE_SECONDS", "1e18", "less than or equal to 86400"),
        ("SMARTCOVER_RETENTION_JOBS_DAYS", "1e12", "less than or equal to 36500"),
        ("SMARTCOVER_CALLBACK_PORTS", "80,http", "holds 'http': input should be a valid integer"),
        ("SMARTCOVER_CALLBACK_ALLOW", "http://r/", "SMARTCOVER_CALLBACK_ALLOW: 'http://r/' is no network; give hosts"),
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


@pytest.mark.parametrize(
    ("variable", "meant"),
    [
        ("SMARTCOVER_STORGE", "SMARTCOVER_STORAGE"),
        ("SMARTCOVER_DATABASE_URI", "SMARTCOVER_DATABASE_URL"),
        ("SMARTCOVER_CALLBACK_ALLOWED", "SMARTCOVER_CALLBACK_ALLOW"),
        ("SMARTCOVER_S3_ACCESS_KEY", "SMARTCOVER_S3_ACCESS_KEY_ID"),
        ("smartcover_log_lvl", "SMARTCOVER_LOG_LEVEL"),
    ],
)
def test_a_misspelt_variable_is_named_with_the_one_that_was_meant(variable: str, meant: str) -> None:
    assert strange_variables({variable: "x", "PATH": "/bin"}) == [f"{variable} is not a setting; did you mean {meant}?"]


def test_a_variable_like_no_setting_is_named_too() -> None:
    assert strange_variables({"SMARTCOVER_XYZZY": "1"}) == [
        "SMARTCOVER_XYZZY is not a setting; smartcover settings lists all"
    ]


def test_every_setting_is_known_in_either_case() -> None:
    names = [f"SMARTCOVER_{name}" for name in Settings.model_fields]
    assert strange_variables({variable: "x" for name in names for variable in (name.upper(), name.lower())}) == []


def test_what_kubernetes_tells_of_a_service_called_smartcover_is_no_misspelling() -> None:
    told = {
        "SMARTCOVER_SERVICE_HOST": "10.0.0.7",
        "SMARTCOVER_SERVICE_PORT": "8460",
        "SMARTCOVER_SERVICE_PORT_HTTP": "8460",
        "SMARTCOVER_PORT": "tcp://10.0.0.7:8460",
        "SMARTCOVER_PORT_8460_TCP": "tcp://10.0.0.7:8460",
        "SMARTCOVER_PORT_8460_TCP_ADDR": "10.0.0.7",
        "SMARTCOVER_API_SERVICE_HOST": "10.0.0.8",
        "SMARTCOVER_API_PORT_8460_TCP_PROTO": "tcp",
    }
    assert strange_variables(told) == []
    assert len(strange_variables({"SMARTCOVER_PORT": "8460"})) == 1, "who sets this means something"
