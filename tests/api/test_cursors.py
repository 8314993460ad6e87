"""What the cursor of a list is, and which texts are taken for one."""

from __future__ import annotations

import re
from base64 import urlsafe_b64encode
from collections.abc import Callable

import pytest

from oris.api.cursors import cursor_of, place_in
from oris.errors import ApiError
from oris.storage.pages import Place

JOBS, RUNS = "/v1/jobs", "/v1/jobs/{thread_id}/runs"
LONG = Place(1_700_000_000_000, "t" * 128 + "/" + "w" * 256)


def text(raw: str) -> str:
    return urlsafe_b64encode(raw.encode()).rstrip(b"=").decode()


@pytest.mark.parametrize("place", [Place(0), Place(10), Place(1_700_000_000_000, "a/b c@=+~:"), Place(1, "é"), LONG])
def test_a_place_is_found_again(place: Place) -> None:
    assert place_in(JOBS, cursor_of(JOBS, place)) == place


def test_a_cursor_needs_no_escaping_and_fits_into_a_query() -> None:
    cursor = cursor_of("/v1/workers", LONG)
    assert re.fullmatch("[A-Za-z0-9_-]+", cursor)
    assert len(cursor) <= 1024


@pytest.mark.parametrize(
    "change",
    [
        lambda cursor: "10",
        lambda cursor: "",
        lambda cursor: "A" * 64,
        lambda cursor: "é" + cursor[1:],
        lambda cursor: cursor + "==",
        lambda cursor: cursor[:12] + "\n" + cursor[12:],
        lambda cursor: text("/v1/jobs"),
        lambda cursor: text("/v1/jobs -1 a"),
        lambda cursor: text("/v1/jobs ² a"),
        lambda cursor: text("/v1/jobs 1.5 a"),
        lambda cursor: text("/v1/jobs 01 a"),
        lambda cursor: text("/v1/jobs " + "9" * 30 + " a"),
        lambda cursor: text("/v1/jobs 1"),
    ],
)
def test_what_no_list_has_given_out_is_the_callers_fault(change: Callable[[str], str]) -> None:
    with pytest.raises(ApiError, match="not a cursor of this list"):
        place_in(JOBS, change(cursor_of(JOBS, Place(10, "a"))))


def test_a_cursor_of_another_list_is_none() -> None:
    with pytest.raises(ApiError, match="not a cursor of this list"):
        place_in(RUNS, cursor_of(JOBS, Place(10)))
