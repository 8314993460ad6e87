"""Where settings come from, and what an operator is told who got one wrong."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oris.config import FIELDS, Address, Loaded, LogLevels, Secret, Settings, load
from oris.errors import ConfigError


@pytest.fixture(autouse=True)
def _in_an_empty_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def from_env(**environ: str) -> Loaded:
    return load({}, environ, None)


def from_file(text: str) -> Loaded:
    Path("oris.toml").write_text(text)
    return load({}, {}, Path("oris.toml"))


def complaint(flags: dict[str, str | None], environ: dict[str, str], file: Path | None = None) -> str:
    with pytest.raises(ConfigError) as caught:
        load(flags, environ, file)
    text = str(caught.value)
    assert text.isprintable()
    return text


def test_nothing_given_is_the_defaults() -> None:
    loaded = from_env()
    assert loaded.settings == Settings()
    assert loaded.settings.server_addr == Address("127.0.0.1", 8080)
    assert loaded.settings.runtime_backend == "sqlite"
    assert loaded.settings.sqlite_db == Path("oris_runtime.db")
    assert loaded.settings.max_active_leases_per_worker == 100
    assert loaded.settings.log == LogLevels()
    assert loaded.warnings == ()
    assert set(loaded.sources.values()) == {"default"}


def test_a_flag_wins_over_the_environment_which_wins_over_the_file() -> None:
    Path("o.toml").write_text("batch_max = 1\nwait_max_ms = 1\njson_max_depth = 10\n")
    loaded = load(
        {"batch_max": "3", "wait_max_ms": None}, {"ORIS_BATCH_MAX": "2", "ORIS_WAIT_MAX_MS": "2"}, Path("o.toml")
    )
    assert loaded.settings.batch_max == 3
    assert loaded.settings.wait_max_ms == 2
    assert loaded.settings.json_max_depth == 10
    assert loaded.sources["batch_max"] == "flag --batch-max"
    assert loaded.sources["wait_max_ms"] == "environment ORIS_WAIT_MAX_MS"
    assert loaded.sources["json_max_depth"] == "file o.toml: json_max_depth"
    assert loaded.sources["fairness"] == "default"


def test_a_variable_set_to_nothing_is_not_set() -> None:
    assert from_env(ORIS_BATCH_MAX="", ORIS_API_AUTH_API_KEY="", ORIS_UNKNOWN="").settings == Settings()


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("ORIS_BATCH_MAX", "0", "a whole number from 1 to 1000 (jobs)"),
        ("ORIS_BATCH_MAX", "ten", "a whole number"),
        ("ORIS_BATCH_MAX", "1e3", "a whole number"),
        ("ORIS_BATCH_MAX", "1_000", "a whole number"),
        ("ORIS_BATCH_MAX", " 10", "a whole number"),
        ("ORIS_BATCH_MAX", "٣", "a whole number"),
        ("ORIS_BATCH_MAX", "9" * 5000, "a whole number"),
        ("ORIS_LEASE_TTL_DEFAULT_SECONDS", "3601", "a whole number from 1 to 3600 (s)"),
        ("ORIS_ALLOW_INSECURE", "yes", "true or false"),
        ("ORIS_FAIRNESS", "random", "round_robin or fifo"),
        ("ORIS_LOG_FORMAT", "JSON", "auto or json or console"),
        ("ORIS_LOG", "loud", "LEVEL and MODULE=LEVEL"),
        ("ORIS_LOG", "info,oris.engine=", "LEVEL and MODULE=LEVEL"),
        ("ORIS_LOG", "info,=debug", "LEVEL and MODULE=LEVEL"),
        ("ORIS_SERVER_ADDR", "8080", "HOST:PORT"),
        ("ORIS_SERVER_ADDR", ":8080", "HOST:PORT"),
        ("ORIS_SERVER_ADDR", "127.0.0.1:65536", "HOST:PORT"),
        ("ORIS_SERVER_ADDR", "127.0.0.256:80", "HOST:PORT"),
        ("ORIS_SERVER_ADDR", "::1:80", "HOST:PORT"),
        ("ORIS_SERVER_ADDR", "[::1:80", "HOST:PORT"),
        ("ORIS_SERVER_ADDR", "http://localhost:80", "HOST:PORT"),
        ("ORIS_SQLITE_DB", ":memory:", "the path of a file"),
        ("ORIS_RUNTIME_BACKEND", "mysql", "it must be sqlite"),
        ("ORIS_API_AUTH_BEARER_ROLE", "root", "admin or operator or client or worker"),
    ],
)
def test_a_bad_value_is_told_with_its_source_and_what_is_allowed(name: str, value: str, allowed: str) -> None:
    text = complaint({}, {name: value})
    assert text.startswith(f'environment {name}: "{value[:100]}')
    assert allowed in text
    assert len(text) < 600


def test_a_bad_flag_is_told_by_its_flag() -> None:
    assert complaint({"batch_max": "0"}, {}).startswith('flag --batch-max: "0" is not allowed; it must be a whole')


def test_postgres_is_known_and_honestly_refused() -> None:
    text = complaint({}, {"ORIS_RUNTIME_BACKEND": "postgres"})
    assert text.endswith("it must be sqlite (postgres is not in this version of Oris)")


def test_line_ends_in_a_value_do_not_reach_the_message() -> None:
    assert "\\u000a" in complaint({}, {"ORIS_FAIRNESS": "fifo\noris: all is well"})


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("batch_max = 0", 'batch_max: "0" is not allowed'),
        ('batch_max = "10"', "batch_max: '10' is not allowed; it must be a number"),
        ("batch_max = true", "batch_max: True is not allowed; it must be a number"),
        ("batch_max = 1.5", "batch_max: 1.5 is not allowed; it must be a number"),
        ('allow_insecure = "true"', "it must be true or false without quotes"),
        ("log = 3", "log: 3 is not allowed; it must be a string in quotes"),
        ("api_auth_api_key = 12345", "api_auth_api_key: the value is not allowed"),
        ("bach_max = 1", "bach_max is not a setting; did you mean batch_max?"),
        ("[server]\naddr = 1", "server is not a setting"),
        ("\nbatch_max = \n", "config file oris.toml: Invalid value (at line 2, column 13)"),
        ("batch_max = 1\nbatch_max = 2\n", "config file oris.toml: Cannot overwrite a value (at line 2"),
    ],
)
def test_a_mistake_in_the_file_is_told_with_file_and_key(text: str, told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        from_file(text)
    assert "oris.toml: " in str(caught.value)
    assert told in str(caught.value)
    assert "12345" not in str(caught.value)


def test_every_setting_can_be_given_in_the_file() -> None:
    lines = []
    for field in FIELDS:
        if field.default is not None:
            quoted = field.default if field.kind.in_file in (int, bool) else f'"{field.default}"'
            lines.append(f"{field.name} = {quoted}")
    loaded = from_file("\n".join([*lines, 'api_auth_api_key = "k1"', 'metrics_addr = "[::1]:0"']))
    assert loaded.settings.api_auth_api_key == Secret("k1")
    assert loaded.settings.metrics_addr == Address("::1", 0)
    assert loaded.settings.body_max_bytes == Settings().body_max_bytes


def test_a_file_that_cannot_be_read_is_told() -> None:
    assert complaint({}, {}, Path("none.toml")) == "config file none.toml: No such file or directory"
    assert complaint({}, {}, Path()) == "config file .: Is a directory"
    Path("latin.toml").write_bytes(b'log = "\xe9"')
    assert complaint({}, {}, Path("latin.toml")) == "config file latin.toml: is not UTF-8"
    Path("huge.toml").write_bytes(b"#" * 2_000_000)
    assert complaint({}, {}, Path("huge.toml")) == "config file huge.toml: larger than 1048576 bytes"


def test_a_secret_can_stand_in_a_file_of_its_own() -> None:
    Path("token").write_text("s3cret\n")
    loaded = from_env(ORIS_API_AUTH_BEARER_TOKEN_FILE="token", ORIS_SERVER_ADDR="0.0.0.0:80")
    assert loaded.settings.api_auth_bearer_token == Secret("s3cret")
    assert loaded.sources["api_auth_bearer_token"] == "environment ORIS_API_AUTH_BEARER_TOKEN_FILE (token)"
    assert from_file('api_auth_api_key_file = "token"').settings.api_auth_api_key == Secret("s3cret")
    assert load({"api_auth_api_key_file": "token"}, {}, None).warnings == ()


def test_a_secret_and_its_file_from_one_source_are_refused_and_from_two_the_stronger_wins() -> None:
    Path("token").write_text("s3cret")
    both = {"ORIS_API_AUTH_API_KEY": "other", "ORIS_API_AUTH_API_KEY_FILE": "token"}
    assert complaint({}, both) == (
        "environment ORIS_API_AUTH_API_KEY and environment ORIS_API_AUTH_API_KEY_FILE are both given; "
        "give only one of them"
    )
    loaded = load({"api_auth_api_key_file": "token"}, {"ORIS_API_AUTH_API_KEY": "other"}, None)
    assert loaded.settings.api_auth_api_key == Secret("s3cret")


def test_an_empty_or_missing_secret_file_is_refused_instead_of_leaving_the_api_open() -> None:
    Path("token").write_text("\n")
    variable = "ORIS_API_AUTH_BEARER_TOKEN_FILE"
    assert complaint({}, {variable: "token"}) == f"environment {variable}: file token is empty"
    assert complaint({}, {variable: "none"}).endswith("file none: No such file or directory")


@pytest.mark.parametrize("bad", ["hunter2 two", "hunter2\x07", "hünter2"])
def test_a_bad_secret_is_never_shown(bad: str) -> None:
    text = complaint({}, {"ORIS_API_AUTH_BEARER_TOKEN": bad})
    assert "visible ASCII" in text
    assert "nter2" not in text


def test_a_secret_does_not_show_itself() -> None:
    settings = Settings(api_auth_api_key=Secret("hunter2"))
    assert "hunter2" not in repr(settings) + str(settings.api_auth_api_key) + f"{settings.api_auth_api_key!r}"
    with pytest.raises(TypeError):
        pickle.dumps(settings.api_auth_api_key)
    assert Secret("hunter2").matches("hunter2")
    assert not Secret("hunter2").matches("hunter\udcff")


def test_a_secret_given_as_a_flag_is_a_warning() -> None:
    (warning,) = load({"api_auth_api_key": "k1"}, {}, None).warnings
    assert warning.startswith("flag --api-auth-api-key shows the secret")


@pytest.mark.parametrize("address", ["127.0.0.1:80", "127.9.9.9:80", "[::1]:80", "localhost:80", "LocalHost:0"])
def test_without_credentials_loopback_is_allowed(address: str) -> None:
    assert str(from_env(ORIS_SERVER_ADDR=address).settings.server_addr) == address


@pytest.mark.parametrize("address", ["0.0.0.0:80", "[::]:80", "192.168.0.1:80", "oris.internal:80"])
@pytest.mark.parametrize("variable", ["ORIS_SERVER_ADDR", "ORIS_METRICS_ADDR"])
def test_without_credentials_nothing_else_is(address: str, variable: str) -> None:
    text = complaint({}, {variable: address})
    assert text.startswith(f"environment {variable}: {address} can be reached from other machines")
    assert from_env(**{variable: address}, ORIS_ALLOW_INSECURE="true").settings.allow_insecure
    assert from_env(**{variable: address}, ORIS_API_AUTH_API_KEY="k").settings.has_credentials


def test_a_database_that_is_there_may_hold_keys_so_the_server_looks_first(tmp_path: Path) -> None:
    there = tmp_path / "oris.db"
    exposed = {"ORIS_SERVER_ADDR": "0.0.0.0:80", "ORIS_SQLITE_DB": str(there), "ORIS_TRUSTED_PROXIES": "10.0.0.1"}
    assert "no credential is set" in complaint({}, exposed)
    assert load({}, exposed, None, serving=False).settings.server_addr.port == 80
    there.touch()
    assert from_env(**exposed).warnings == ()


@pytest.mark.parametrize("first", ["api_auth_bearer_token", "api_auth_api_key"])
def test_the_second_of_two_tokens_needs_the_first(first: str) -> None:
    second = {f"ORIS_{first.upper()}_NEXT": "two"}
    said = f"environment ORIS_{first.upper()}_NEXT: {first}_next is the second of a pair; set {first} too"
    assert complaint({}, second) == said
    both = from_env(**second, **{f"ORIS_{first.upper()}": "one"}).settings
    assert getattr(both, f"{first}_next") == Secret("two")


def test_audit_records_are_deleted_only_with_a_key_that_signs_what_stays() -> None:
    missing = {"ORIS_AUDIT_RETENTION_DAYS": "30"}
    assert "set ORIS_AUDIT_ANCHOR_KEY too" in complaint({}, missing)
    short = complaint({}, {"ORIS_AUDIT_ANCHOR_KEY": "thirty-one-characters-are-less."})
    assert "too short" in short
    assert "thirty-one" not in short
    key = {"ORIS_AUDIT_ANCHOR_KEY": "k" * 32}
    assert from_env(**missing, **key).settings.audit_retention_days == 30
    assert from_env(**key).settings.audit_retention_days == 0


def test_one_address_cannot_serve_both() -> None:
    assert "the API's own address" in complaint({}, {"ORIS_METRICS_ADDR": "127.0.0.1:8080"})
    from_env(ORIS_METRICS_ADDR="127.0.0.1:0", ORIS_SERVER_ADDR="127.0.0.1:0")


def test_an_inbox_smaller_than_one_request_is_refused() -> None:
    text = complaint({}, {"ORIS_INBOX_MAX_COMMANDS": "999"})
    assert text == (
        "environment ORIS_INBOX_MAX_COMMANDS: inbox_max_commands 999 is not allowed; "
        "it must be at least batch_max, 1000 (default)"
    )
    assert "at least body_max_bytes" in complaint({}, {"ORIS_INBOX_MAX_BYTES": "2000000"})


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("missing/oris.db", "cannot be made; directory missing must exist"),
        ("file/oris.db", "cannot be reached: Not a directory"),
        ("directory", "is not a file"),
    ],
)
def test_a_database_path_that_cannot_be_used_is_told(path: str, told: str) -> None:
    Path("file").touch()
    Path("directory").mkdir()
    text = complaint({}, {"ORIS_SQLITE_DB": path})
    assert text.startswith(f"environment ORIS_SQLITE_DB: database {path} {told}")
    assert not Path("missing").exists()


def test_a_database_without_write_permission_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda _path, _mode: False)  # permissions do not bind root
    assert "directory . must be writable" in complaint({}, {"ORIS_SQLITE_DB": "oris.db"})
    Path("oris.db").touch()
    assert "oris.db is not writable" in complaint({}, {"ORIS_SQLITE_DB": "oris.db"})


def test_looking_at_the_path_makes_no_file() -> None:
    from_env(ORIS_SQLITE_DB="oris.db")
    assert list(Path().iterdir()) == []


@given(
    st.dictionaries(
        st.sampled_from([f.env for f in FIELDS] + [f.env + "_FILE" for f in FIELDS]),
        st.text(st.characters(exclude_characters="\0"), max_size=30),
    )
)
def test_any_environment_loads_or_is_refused_in_one_line(environ: dict[str, str]) -> None:
    refused = ""
    loaded = None
    try:
        loaded = load({}, environ, None)
    except ConfigError as error:
        refused = str(error)
    assert bool(refused) != isinstance(loaded, Loaded)
    assert not set(refused) & set("\n\r\x1b")
