"""What is kept out of the logs."""

from __future__ import annotations

import json
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oris.observability.redact import REDACTED, is_private, redact


@pytest.mark.parametrize(
    "key",
    [
        "authorization",
        "Authorization",
        "X-Api-Key",
        "api_key",
        "ORIS_API_AUTH_BEARER_TOKEN",
        "dedupe_token",
        "client_secret",
        "Set-Cookie",
        "input",
        "output",
        "result",
        "values",
        "payload",
    ],
)
def test_credentials_and_payloads_are_private(key: str) -> None:
    assert is_private(key)


@pytest.mark.parametrize("key", ["request_id", "lease_id", "result_bytes", "idempotency_key", "status", "key_id"])
def test_ids_and_sizes_are_not(key: str) -> None:
    assert not is_private(key)


def test_they_are_found_at_any_depth() -> None:
    logged = redact({"job": [{"input": {"card": "4111"}, "thread_id": "t"}], "headers": {"X-Api-Key": "k"}})
    assert logged == {"job": [{"input": REDACTED, "thread_id": "t"}], "headers": {"X-Api-Key": REDACTED}}


def test_bytes_and_unknown_objects_show_only_what_they_are() -> None:
    @dataclass
    class Job:
        input: str

    assert redact(b"4111") == "[4 bytes]"
    assert redact(Job("4111")) == "[Job]"


def test_an_object_that_cannot_be_printed_does_no_harm() -> None:
    class Broken:
        def __str__(self) -> str:
            raise RuntimeError("4111")

    assert redact(Broken()) == "[Broken, unprintable: RuntimeError]"


def test_what_is_long_or_deep_is_cut() -> None:
    deep: object = "bottom"
    for _ in range(50):
        deep = [deep]
    assert len(str(redact("x" * 100_000))) < 5000
    assert len(json.dumps(redact(list(range(10_000))))) < 1000
    assert "bottom" not in json.dumps(redact(deep))


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers(), inner) | st.sets(st.text()),
        max_leaves=20,
    )
)
def test_anything_becomes_json(value: object) -> None:
    json.dumps(redact(value), allow_nan=False)


SECRET = "oris_" + "aB3_-" * 8 + "xyz"


@pytest.mark.parametrize(
    "value",
    [SECRET, f"/v1/api-keys/{SECRET}/revoke", [SECRET], {"path": {SECRET: SECRET}}, ValueError(f"what is {SECRET!r}?")],
)
def test_the_secret_of_an_api_key_is_found_in_any_text(value: object) -> None:
    shown = json.dumps(redact(value))
    assert SECRET not in shown
    assert REDACTED in shown


def test_what_only_begins_like_a_secret_is_left_alone() -> None:
    assert redact("oris_runtime_queue_depth") == "oris_runtime_queue_depth"
    assert redact(f"oris_{'x' * 42} ") == f"oris_{'x' * 42} "
