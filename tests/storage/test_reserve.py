"""The reserve is room that is really taken, is given up in slices, and outlives the server."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from oris.errors import ConfigError
from oris.storage.sqlite.reserve import SLICES, Reserve
from oris.storage.sqlite.space import MOST_RESERVE_BYTES, Disk, ReserveSize, reserve_size

from ..small_disk import Hog, small_disk

pytestmark = pytest.mark.only_store("sqlite")

MIB = 1024 * 1024


def taken(database: Path) -> int:
    """The room that the file takes on the disk."""
    return database.with_name(database.name + ".reserve").stat().st_blocks * 512


def test_what_is_taken_is_taken_on_the_disk(tmp_path: Path) -> None:
    reserve = Reserve(tmp_path / "x.db", MIB)
    assert (reserve.held_bytes, reserve.whole) == (0, False)
    reserve.take()
    assert (reserve.held_bytes, reserve.whole) == (MIB, True)
    assert taken(tmp_path / "x.db") >= MIB
    reserve.close()


def test_it_is_given_up_slice_by_slice_until_nothing_is_left(tmp_path: Path) -> None:
    reserve = Reserve(tmp_path / "x.db", MIB)
    reserve.take()
    left = []
    while reserve.give_up():
        left.append(reserve.held_bytes)
        assert taken(tmp_path / "x.db") <= reserve.held_bytes + 4096
    assert left == [MIB - (n + 1) * MIB // SLICES for n in range(SLICES)]
    reserve.take()
    assert reserve.whole
    reserve.close()


def test_it_stays_when_the_server_ends_and_the_next_one_has_it(tmp_path: Path) -> None:
    first = Reserve(tmp_path / "x.db", MIB)
    first.take()
    first.give_up()
    held = first.held_bytes
    first.close()
    assert taken(tmp_path / "x.db") >= held
    second = Reserve(tmp_path / "x.db", MIB)
    assert second.held_bytes == held
    second.close()


def test_a_copy_that_has_the_size_without_the_room_gets_the_room(tmp_path: Path) -> None:
    (tmp_path / "x.db.reserve").touch()
    os.truncate(tmp_path / "x.db.reserve", 2 * MIB)
    reserve = Reserve(tmp_path / "x.db", MIB)
    assert reserve.whole
    assert MIB <= taken(tmp_path / "x.db") < 2 * MIB
    reserve.close()


def test_with_none_wanted_an_old_one_is_removed_and_none_is_given_up(tmp_path: Path) -> None:
    (tmp_path / "x.db.reserve").write_bytes(b"x")
    reserve = Reserve(tmp_path / "x.db", 0)
    reserve.take()
    assert not (tmp_path / "x.db.reserve").exists()
    assert reserve.whole
    assert not reserve.give_up()
    reserve.close()


def test_where_room_cannot_be_set_aside_it_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: int) -> None:
        raise OSError(errno.EOPNOTSUPP, "not here")

    monkeypatch.setattr(os, "posix_fallocate", refuse)
    reserve = Reserve(tmp_path / "x.db", 3 * MIB // 2)
    reserve.take()
    assert taken(tmp_path / "x.db") >= reserve.held_bytes == 3 * MIB // 2
    reserve.close()


def test_what_does_not_fit_is_not_taken_in_part(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 4 * MIB) as folder:
        reserve = Reserve(folder / "x.db", 2 * MIB)
        hog = Hog(folder)
        hog.fill()
        with pytest.raises(OSError, match="No space left"):
            reserve.take()
        assert (reserve.held_bytes, taken(folder / "x.db")) == (0, 0)
        hog.free()
        reserve.take()
        assert reserve.whole
        reserve.close()


def test_the_gate_closes_below_the_reserve_and_opens_once_it_is_whole_with_a_quarter_more(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 8 * MIB) as folder:
        disk = Disk(folder / "x.db", MIB)
        seen = disk.look()
        assert (seen.low, seen.held_bytes, seen.free_bytes) == (False, MIB, 7 * MIB)
        other = folder / "other"
        for free, low in ((MIB, False), (MIB - 4096, True), (MIB, True), (MIB * 5 // 4, False), (MIB, False)):
            other.write_bytes(bytes(7 * MIB - free))
            assert (disk.look().free_bytes, disk.low) == (free, low)
        other.write_bytes(bytes(7 * MIB))
        assert disk.make_room()
        assert disk.look().held_bytes == MIB * 7 // 8
        other.write_bytes(bytes(7 * MIB - MIB * 5 // 4 + 4096))
        assert disk.look().held_bytes == MIB * 7 // 8
        other.write_bytes(bytes(7 * MIB - MIB * 5 // 4))
        assert (disk.look().held_bytes, disk.low) == (MIB, False)
        disk.close()


def test_without_a_reserve_only_a_commit_that_fails_closes_the_gate_until_the_next_look(tmp_path: Path) -> None:
    sizes: tuple[ReserveSize, ...] = (0, "as_it_is")
    for size in sizes:
        disk = Disk(tmp_path / "x.db", size)
        assert not disk.make_room()
        assert disk.low
        assert not disk.look().low
        disk.close()


def test_a_reserve_is_64_mib_or_a_twentieth_of_a_small_disk_and_never_more_than_a_quarter(tmp_path: Path) -> None:
    assert reserve_size(tmp_path, "as_it_is") is None
    assert reserve_size(tmp_path, 17) == 17
    with small_disk(tmp_path / "small", 20 * MIB) as folder:
        assert reserve_size(folder, "auto") == MIB
        assert reserve_size(folder, 5 * MIB) == 5 * MIB
        with pytest.raises(ConfigError, match="at most a quarter of that disk, 5242880"):
            reserve_size(folder, 5 * MIB + 1)
    with small_disk(tmp_path / "large", 4096 * MIB) as folder:
        assert reserve_size(folder, "auto") == MOST_RESERVE_BYTES


def test_why_nothing_can_be_written_is_found_out_by_writing(tmp_path: Path) -> None:
    assert Disk(tmp_path / "x.db", "as_it_is").why_unwritable() is None
    with small_disk(tmp_path / "full", MIB) as folder:
        Hog(folder).fill()
        assert Disk(folder / "x.db", "as_it_is").why_unwritable() == "disk_full"
        assert not (folder / "x.db.probe").exists()
    with small_disk(tmp_path / "ro", MIB, read_only=True) as folder:
        assert Disk(folder / "x.db", "as_it_is").why_unwritable() == "read_only"
