"""`ORIS_*` variables that are not settings."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oris.config import FIELDS, load
from oris.config.environment import one_edit_apart
from oris.errors import ConfigError

# What Kubernetes injects into every pod beside a service named oris.
KUBERNETES = {
    "ORIS_PORT": "tcp://10.0.0.7:8080",
    "ORIS_PORT_8080_TCP": "tcp://10.0.0.7:8080",
    "ORIS_PORT_8080_TCP_ADDR": "10.0.0.7",
    "ORIS_PORT_8080_TCP_PORT": "8080",
    "ORIS_PORT_8080_TCP_PROTO": "tcp",
    "ORIS_SERVICE_HOST": "10.0.0.7",
    "ORIS_SERVICE_PORT": "8080",
    "ORIS_SERVICE_PORT_HTTP": "8080",
    "ORIS_METRICS_PORT": "tcp://10.0.0.8:9090",
    "ORIS_SERVER_PORT": "tcp://10.0.0.9:8080",
}


@pytest.fixture(autouse=True)
def _in_an_empty_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_what_kubernetes_injects_is_one_warning() -> None:
    (warning,) = load({}, KUBERNETES, None).warnings
    assert warning.isprintable()
    assert all(name in warning for name in KUBERNETES)
    assert "10.0.0.7" not in warning


def test_with_strict_config_it_is_an_error() -> None:
    with pytest.raises(ConfigError, match=r"ORIS_PORT, ORIS_PORT_8080_TCP.*--strict-config"):
        load({}, KUBERNETES, None, strict=True)


@pytest.mark.parametrize(
    ("slip", "meant"),
    [
        ("ORIS_SQLITE_BD", "ORIS_SQLITE_DB"),
        ("ORIS_SERVER_ADR", "ORIS_SERVER_ADDR"),
        ("ORIS_SERVER_ADDRS", "ORIS_SERVER_ADDR"),
        ("ORIS_LOK", "ORIS_LOG"),
        ("ORIS_API_AUTH_API_KEY_FLIE", "ORIS_API_AUTH_API_KEY_FILE"),
        ("ORIS_WORKER_IT", "ORIS_WORKER_ID"),
    ],
)
def test_a_slip_of_the_finger_is_an_error_that_says_what_was_meant(slip: str, meant: str) -> None:
    with pytest.raises(ConfigError, match=f"environment {slip} is not a setting; did you mean {meant}"):
        load({}, {slip: "x"}, None)


def test_variables_of_workers_clients_tests_and_others_are_nobodys_business() -> None:
    environ = {
        "ORIS_WORKER_ID": "w1",
        "ORIS_URL": "http://x",
        "ORIS_TEST_POSTGRES_URL": "x",
        "ORIS_BENCH_N": "1",
        "ORISSA_X": "1",
        "PATH": "/bin",
    }
    assert load({}, environ, None, strict=True).warnings == ()


def test_a_variables_name_cannot_write_a_second_line() -> None:
    (warning,) = load({}, {"ORIS_X\nERROR": "1"}, None).warnings
    assert "ORIS_X\\u000aERROR" in warning


def test_rust_log_is_answered_with_a_hint_unless_oris_log_is_set() -> None:
    assert load({}, {"RUST_LOG": "info"}, None).warnings == (
        "RUST_LOG is set but not read; ORIS_LOG has the same syntax, and is now info",
    )
    assert load({}, {"RUST_LOG": "info", "ORIS_LOG": "warn"}, None).warnings == ()


def test_no_setting_is_one_edit_away_from_another() -> None:
    names = [field.env for field in FIELDS]
    assert not [(one, other) for one in names for other in names if one_edit_apart(one, other)]


@given(st.text("AB_", min_size=1, max_size=8), st.data())
def test_every_single_edit_is_recognised(word: str, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(word) - 1))
    letter = data.draw(st.sampled_from("ABX_"))
    edits = [
        word[:at] + letter + word[at:],
        word[:at] + word[at + 1 :],
        word[:at] + letter + word[at + 1 :],
        word[:at] + word[at : at + 2][::-1] + word[at + 2 :],
    ]
    for edited in edits:
        assert one_edit_apart(word, edited) == (edited != word)


@pytest.mark.parametrize(
    ("one", "other"),
    [("", ""), ("AB", "AB"), ("AB", "CD"), ("AB", ""), ("ABC", "CBA"), ("ABCD", "BADC"), ("ORIS_PORT", "ORIS_LOG")],
)
def test_nothing_else_is(one: str, other: str) -> None:
    assert not one_edit_apart(one, other)
