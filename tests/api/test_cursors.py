"""What the cursor of a list shows, and which are taken back."""

from __future__ import annotations

from base64 import urlsafe_b64decode
from collections.abc import Callable

import pytest

from oris.api.cursors import Cursors
from oris.errors import ApiError, Unavailable

JOBS, RUNS = "/v1/jobs", "/v1/jobs/{thread_id}/runs"
PLACES = ["", "1", "10", "999999999999999999", "1700000000000.999999999999999999"]
LONG = "1700000000000." + "t" * 128 + "/" + "w" * 256


def cursors(secret: bytes = b"s" * 32) -> Cursors:
    async def read() -> bytes:
        return secret

    return Cursors(read)


@pytest.mark.parametrize("place", [*PLACES, LONG])
async def test_a_place_is_found_again_by_another_node_and_after_a_restart(place: str) -> None:
    cursor = await cursors().mask(JOBS, place)
    assert await cursors().unmask(JOBS, cursor) == place
    assert await cursors().mask(JOBS, place) == cursor


async def test_the_usual_places_are_of_one_length_and_one_is_not_told_from_the_next() -> None:
    masked = [await cursors().mask(JOBS, place) for place in PLACES[1:]]
    assert {len(cursor) for cursor in masked} == {64}
    # 48 bytes each. Of neighbours half of the bits differ, give or take: here a quarter at least.
    one, other = [urlsafe_b64decode(await cursors().mask(JOBS, place)) for place in ("1000", "1001")]
    assert (int.from_bytes(one) ^ int.from_bytes(other)).bit_count() > 48 * 8 // 4
    for place, cursor in zip(PLACES[1:], masked, strict=True):
        assert place.encode() not in urlsafe_b64decode(cursor)


async def test_the_longest_cursor_is_one_that_a_query_may_hold() -> None:
    assert len(await cursors().mask("/v1/workers", LONG)) <= 1024
    assert max([len(await cursors().mask(JOBS, place)) for place in PLACES]) <= 256


@pytest.mark.parametrize(
    "change",
    [
        lambda cursor: "10",
        lambda cursor: "",
        lambda cursor: "A" * 64,
        lambda cursor: "é" + cursor[1:],
        lambda cursor: cursor[:-1],
        lambda cursor: cursor + "A",
        lambda cursor: cursor + "==",
        lambda cursor: cursor[:30] + "\n" + cursor[30:],
        lambda cursor: ("B" if cursor[0] == "A" else "A") + cursor[1:],
        lambda cursor: cursor[:40] + ("B" if cursor[40] == "A" else "A") + cursor[41:],
    ],
)
async def test_what_no_list_gave_out_is_refused(change: Callable[[str], str]) -> None:
    cursor = await cursors().mask(JOBS, "10")
    with pytest.raises(ApiError, match="not a cursor of this list"):
        await cursors().unmask(JOBS, change(cursor))


async def test_a_cursor_of_another_list_or_another_database_is_none() -> None:
    cursor = await cursors().mask(JOBS, "10")
    with pytest.raises(ApiError):
        await cursors().unmask(RUNS, cursor)
    with pytest.raises(ApiError):
        await cursors(b"t" * 32).unmask(JOBS, cursor)


async def test_the_secret_is_read_once_and_again_only_when_that_failed() -> None:
    reads: list[str] = []

    async def read() -> bytes:
        reads.append("")
        if len(reads) == 1:
            raise Unavailable("the store is away")
        return b"s" * 32

    masking = Cursors(read)
    with pytest.raises(Unavailable):
        await masking.mask(JOBS, "1")
    assert await masking.unmask(JOBS, await masking.mask(JOBS, "1")) == "1"
    assert len(reads) == 2
