"""`python -m oris audit`: on the file of a real server, whole, and with anything in it changed."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import product
from pathlib import Path

import pytest
from msgspec.structs import astuple, replace

from oris.audit_actions import AuditAction
from oris.cli import main
from oris.core.audit import Audit, AuditHead, AuditRecord, link, record
from oris.core.audit_anchor import AnchorKey
from oris.core.audit_check import head_of, start_of
from oris.core.stamp import Stamp
from oris.storage.sqlite import audit_trail
from oris.storage.sqlite.audit_trail import PAGE

from ..e2e.server_process import data_of, serving

COLUMNS = "audit_id, chain_id, seq, " + ", ".join(AuditRecord.__struct_fields__[3:])


@pytest.fixture(autouse=True)
def _a_clean_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("ORIS_")]:
        monkeypatch.delenv(name)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The database of a server that was started three times, with an opening and four deeds each time."""
    folder = tmp_path_factory.mktemp("written")
    for start in range(3):
        with serving(folder) as server, server.client() as http:
            for number in range(4):
                data_of(http.post("/v1/jobs", json={"thread_id": f"t{start}-{number}"}))
            assert server.stop() == 0
    server.check_rows()
    return server.database


@pytest.fixture
def database(written: Path, tmp_path: Path) -> Path:
    """A copy of it for one test."""
    return Path(shutil.copy(written, tmp_path / "oris.db"))


Verify = Callable[..., tuple[int, list[str]]]


@pytest.fixture
def verify(database: Path, capsys: pytest.CaptureFixture[str]) -> Verify:
    """Run the command on the copy: its exit code and what it prints."""

    def run(*more: str) -> tuple[int, list[str]]:
        code = main(["audit", "verify", *more, "--sqlite-db", str(database)])
        return code, capsys.readouterr().out.splitlines()

    return run


@pytest.fixture
def heads(database: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    """What `audit heads` prints before anything was changed, in a file."""
    assert main(["audit", "heads", "--sqlite-db", str(database)]) == 0
    file = tmp_path / "heads.jsonl"
    file.write_text(capsys.readouterr().out)
    return file


def change(database: Path, *statements: str) -> None:
    """What somebody does who can write the file."""
    with closing(sqlite3.connect(database)) as connection:
        for statement in statements:
            connection.execute(statement)
        connection.commit()


def chains(database: Path) -> list[str]:
    """The chains, the oldest first."""
    with closing(sqlite3.connect(database)) as connection:
        return [row[0] for row in connection.execute("SELECT DISTINCT chain_id FROM runtime_audit_log ORDER BY id")]


def stored(database: Path) -> list[object]:
    """All that the trail's rows say, byte by byte."""
    with closing(sqlite3.connect(database)) as connection:
        connection.text_factory = bytes
        return connection.execute("SELECT * FROM runtime_audit_log NOT INDEXED").fetchall()


def forge(database: Path, chain: str, length: int) -> None:
    """A whole chain that nobody has written, each hash right, in the place of the one that was there."""
    head = start_of(chain)
    rows: list[AuditRecord] = []
    for seq in range(1, length + 1):
        action: AuditAction = "chain.open" if seq == 1 else "job.run"
        deed = Audit("system", "forger", "system", "", "", action, "audit_chain", chain, "")
        rows.append(record(head, deed, "ok", b"{}", Stamp(seq, seq << 16)))
        head = head_of(rows[-1])
    with closing(sqlite3.connect(database)) as connection:
        (first_id,) = connection.execute(
            "SELECT coalesce((SELECT min(id) FROM runtime_audit_log WHERE chain_id = ?), max(id) + 1) "
            "FROM runtime_audit_log",
            (chain,),
        ).fetchone()
        connection.execute("DELETE FROM runtime_audit_log WHERE chain_id = ?", (chain,))
        marks = ", ".join("?" * len(AuditRecord.__struct_fields__))
        insert = f"INSERT INTO runtime_audit_log (id, {COLUMNS}) VALUES (?, {marks})"
        connection.executemany(insert, ((number, *astuple(row)) for number, row in enumerate(rows, first_id)))
        connection.commit()


def audit_id(database: Path, number: int) -> str:
    """The id of a record, by its row."""
    with closing(sqlite3.connect(database)) as connection:
        (found,) = connection.execute("SELECT audit_id FROM runtime_audit_log WHERE id = ?", (number,)).fetchone()
        return str(found)


def test_a_trail_that_nobody_touched_holds(verify: Verify, heads: Path) -> None:
    assert verify() == (0, ["15 records in 3 chains: all unchanged"])
    told = "15 records in 3 chains: all unchanged, and all 3 heads of the file were found"
    assert verify("--heads", str(heads)) == (0, [told])


def test_the_heads_are_a_line_each_and_are_what_the_rows_say(database: Path, heads: Path) -> None:
    lines = [json.loads(line) for line in heads.read_text().splitlines()]
    assert [(line["chain_id"], line["seq"]) for line in lines] == [(chain, 5) for chain in chains(database)]
    with closing(sqlite3.connect(database)) as connection:
        stored = connection.execute("SELECT hex(hash) FROM runtime_audit_log WHERE seq = 5 ORDER BY id").fetchall()
    assert [line["hash"].upper() for line in lines] == [row[0] for row in stored]


@pytest.mark.parametrize("field", [*AuditRecord.__struct_fields__])
def test_a_flipped_field_of_any_kind_is_found_in_its_record(database: Path, verify: Verify, field: str) -> None:
    forged = {"seq": "seq + 100", "details": "x'7b7d20'", "created_ms": "created_ms + 1", "hash": "zeroblob(32)"}
    (first, _, _), name = chains(database), audit_id(database, 3)
    value = forged.get(field, f"{field} || 'x'")
    change(database, f"UPDATE runtime_audit_log SET {field} = {value} WHERE id = 3")
    code, lines = verify()
    assert code == 1
    expected = {
        "seq": f"chain {first}: record 3 is missing",
        "chain_id": f"chain {first}: record 3 is missing",
        "audit_id": f"chain {first}: record 3 ({name}x) differs from what was written",
    }
    if field == "chain_id":
        assert lines.pop(0) == f"chain {first}x: record 1 is missing"
    assert lines[0] == expected.get(field, f"chain {first}: record 3 ({name}) differs from what was written")
    assert lines[-1].startswith("broken chains: ")


def test_a_bit_that_was_flipped_in_the_file_itself_is_found(database: Path, verify: Verify) -> None:
    name, (_, second, _) = audit_id(database, 8), chains(database)
    content = database.read_bytes()
    at = content.index(name.encode())
    for bit in (0x01, 0x80):
        database.write_bytes(content[: at + 9] + bytes([content[at + 9] ^ bit]) + content[at + 10 :])
        code, lines = verify()
        assert code == 1
        assert lines[0].startswith(f"chain {second}: record 3 (aud_")
        assert lines[0].endswith("differs from what was written")
    database.write_bytes(content)
    places = [at for at in range(len(content)) if content.startswith(second.encode(), at)]
    untouched, found = stored(database), 0
    for at, bit in product(places, (0x01, 0x80)):
        database.write_bytes(content[: at + 9] + bytes([content[at + 9] ^ bit]) + content[at + 10 :])
        # The file also holds indexes, and what was there before.
        if stored(database) != untouched:
            assert verify()[0] == 1, f"a flip at {at} was not found"
            found += 1
    assert found >= 10


def test_a_deleted_record_is_found_as_missing(database: Path, verify: Verify) -> None:
    (_, second, _) = chains(database)
    change(database, "DELETE FROM runtime_audit_log WHERE id = 8")
    assert verify() == (1, [f"chain {second}: record 3 is missing", "broken chains: 1; 14 records were read"])


def test_a_beginning_that_was_cut_off_is_found_as_missing(database: Path, verify: Verify) -> None:
    (_, second, _) = chains(database)
    change(database, "DELETE FROM runtime_audit_log WHERE id IN (6, 7)")
    assert verify() == (1, [f"chain {second}: record 1 is missing", "broken chains: 1; 13 records were read"])


def test_two_records_that_changed_places_are_found_at_the_first(database: Path, verify: Verify) -> None:
    (first, _, _) = chains(database)
    change(
        database,
        "UPDATE runtime_audit_log SET seq = 100 WHERE id = 2",
        "UPDATE runtime_audit_log SET seq = 2 WHERE id = 3",
        "UPDATE runtime_audit_log SET seq = 3 WHERE id = 2",
    )
    code, lines = verify()
    assert (code, lines[0]) == (1, f"chain {first}: record 2 is missing")
    others = ", ".join(name for name in AuditRecord.__struct_fields__ if name not in ("chain_id", "seq"))
    change(
        database,
        "UPDATE runtime_audit_log SET seq = 100 WHERE id = 2",
        "UPDATE runtime_audit_log SET seq = 3 WHERE id = 3",
        "UPDATE runtime_audit_log SET seq = 2 WHERE id = 2",
    )
    assert verify()[0] == 0
    swapped = f"(SELECT {others} FROM runtime_audit_log AS other WHERE other.id = 5 - runtime_audit_log.id)"
    change(database, f"UPDATE runtime_audit_log SET ({others}) = {swapped} WHERE id IN (2, 3)")
    code, lines = verify()
    assert (code, lines[0]) == (1, f"chain {first}: record 2 ({audit_id(database, 2)}) differs from what was written")


def test_an_added_record_is_found_wherever_it_is_put(database: Path, verify: Verify) -> None:
    (first, _, _) = chains(database)
    for seq in (-7, 0, 6):
        change(
            database,
            "DELETE FROM runtime_audit_log WHERE id = 99",
            f"INSERT INTO runtime_audit_log SELECT 99, 'aud_x', chain_id, {seq}, {COLUMNS.partition('seq, ')[2]} "
            "FROM runtime_audit_log WHERE id = 3",
        )
        code, lines = verify()
        assert code == 1
        assert lines[0].startswith(f"chain {first}: record 6 (aud_x)")


def test_a_cut_end_is_found_by_the_chain_that_was_started_after_it(database: Path, verify: Verify) -> None:
    (first, _, _) = chains(database)
    change(database, "DELETE FROM runtime_audit_log WHERE id IN (4, 5)")
    assert verify() == (1, [f"chain {first}: record 4 is missing", "broken chains: 1; 13 records were read"])


def test_a_whole_chain_that_is_gone_is_found_by_the_next(database: Path, verify: Verify) -> None:
    (first, _, _) = chains(database)
    change(database, f"DELETE FROM runtime_audit_log WHERE chain_id = '{first}'")
    assert verify() == (1, [f"chain {first}: record 1 is missing", "broken chains: 1; 10 records were read"])


@pytest.mark.parametrize("cut", [1, 5], ids=["one record", "the whole chain"])
def test_the_cut_end_of_the_last_chain_shows_only_against_heads_kept_elsewhere(
    database: Path, verify: Verify, heads: Path, cut: int
) -> None:
    (_, _, third) = chains(database)
    change(database, f"DELETE FROM runtime_audit_log WHERE id > {15 - cut}")
    assert verify()[0] == 0
    code, lines = verify("--heads", str(heads))
    assert (code, lines[0]) == (1, f"chain {third}: record {6 - cut} is missing")


def test_a_last_chain_that_was_written_anew_shows_only_against_heads_kept_elsewhere(
    database: Path, verify: Verify, heads: Path
) -> None:
    (_, _, third) = chains(database)
    with closing(sqlite3.connect(database)) as connection:
        rows = connection.execute(f"SELECT {COLUMNS} FROM runtime_audit_log WHERE id > 10 ORDER BY id").fetchall()
        previous = bytes(32)
        for place, row in enumerate(rows):
            line = AuditRecord(*row)
            if place == 2:
                line = replace(line, actor_id="somebody else")
            previous = link(previous, line)
            connection.execute(
                "UPDATE runtime_audit_log SET actor_id = ?, hash = ? WHERE audit_id = ?",
                (line.actor_id, previous, line.audit_id),
            )
        connection.commit()
    assert verify()[0] == 0
    code, lines = verify("--heads", str(heads))
    assert (code, lines[0]) == (1, f"chain {third}: record 5 differs from its head in the file")


def test_an_earlier_chain_that_was_written_anew_is_found_by_the_next(database: Path, verify: Verify) -> None:
    (first, second, _) = chains(database)
    forge(database, first, length=5)
    code, lines = verify()
    assert (code, lines[0]) == (1, f"chain {first}: record 5 differs from its head in the file")
    assert second not in "".join(lines)


def test_a_chain_longer_than_a_page_is_read_to_its_end(database: Path, verify: Verify) -> None:
    forge(database, "chn_zz", length=2 * PAGE + 1)
    assert verify() == (0, [f"{15 + 2 * PAGE + 1} records in 4 chains: all unchanged"])
    change(database, f"UPDATE runtime_audit_log SET result = 'no' WHERE chain_id = 'chn_zz' AND seq = {2 * PAGE + 1}")
    assert verify()[1][0].startswith(f"chain chn_zz: record {2 * PAGE + 1} (")


def test_it_works_beside_a_server_that_writes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with serving(tmp_path) as server, server.client() as http:
        for number in range(3):
            data_of(http.post("/v1/jobs", json={"thread_id": f"t{number}"}))
            assert main(["audit", "verify", "--sqlite-db", str(server.database)]) == 0
            assert capsys.readouterr().out == f"{number + 2} records in 1 chains: all unchanged\n"
        assert server.stop() == 0
        server.check_rows()


def test_heads_that_were_lost_on_the_way_are_a_mistake_and_not_in_order(
    verify: Verify, heads: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = heads.read_text()
    for text, told in (("", ": this file has no heads"), (whole[:-2], ", line 3: not a line of")):
        heads.write_text(text)
        assert main(["audit", "verify", "--heads", str(heads), "--sqlite-db", "oris.db"]) == 2
        said = capsys.readouterr()
        assert said.out == ""
        assert f"{heads}{told}" in said.err
        assert said.err.count("\n") == 1


@pytest.mark.parametrize(
    "text",
    [
        "{",
        '{"chain_id":"c","seq":0,"hash":""}',
        '{"chain_id":"c"}',
        '{"chain_id":"c","seq":-1,"hash":""}',
        "\n",
        '{"x":1}',
    ],
)
def test_a_file_that_is_no_list_of_heads_is_a_mistake(
    verify: Verify, tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    (tmp_path / "no.jsonl").write_text(text)
    assert verify("--heads", "no.jsonl")[0] == 2


@pytest.mark.parametrize("name", ["none.db", "text.db", "other.db"])
def test_a_file_that_is_no_database_of_ours_is_a_mistake_and_stays_as_it_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    (tmp_path / "text.db").write_text("no database at all, but long enough to be looked at" * 100)
    change(tmp_path / "other.db", "CREATE TABLE other (x)")
    for command in ("verify", "heads"):
        assert main(["audit", command, "--sqlite-db", str(tmp_path / name)]) == 2
        assert capsys.readouterr().err.count("\n") == 1
    assert not (tmp_path / "none.db").exists()


@pytest.fixture(autouse=True)
def _not_a_single_change(written: Path) -> Iterator[None]:
    """What is checked is only read."""
    before = written.read_bytes()
    yield
    assert written.read_bytes() == before


ANCHOR_KEY = "k" * 40


def cut(database: Path, seq: int, secret: str = ANCHOR_KEY, chain: int = 0) -> str:
    """What retention does to one of the chains: up to this record it goes, and an anchor is left."""
    name = chains(database)[chain]
    with closing(sqlite3.connect(database)) as connection:
        where = "FROM runtime_audit_log WHERE chain_id = ? AND seq"
        (digest,) = connection.execute(f"SELECT hash {where} = ?", (name, seq)).fetchone()
        connection.execute(f"DELETE {where} <= ?", (name, seq))
        anchor = AnchorKey(secret).sign(AuditHead(name, seq, digest))
        connection.execute("INSERT OR REPLACE INTO runtime_audit_anchors VALUES (?, ?, ?, ?)", astuple(anchor))
        connection.commit()
    return name


WITH_KEY = ("--audit-anchor-key", ANCHOR_KEY)


@pytest.mark.parametrize(("seq", "chain"), list(product((1, 3, 5), (0, 2))))
def test_a_chain_that_begins_behind_a_signed_anchor_is_in_order(
    database: Path, verify: Verify, heads: Path, seq: int, chain: int
) -> None:
    cut(database, seq, chain=chain)
    noted = ", and all 3 heads of the file were found"
    told = f"{15 - seq} records in 3 chains: all unchanged{noted}"
    assert verify("--heads", str(heads), *WITH_KEY) == (0, [told])


def test_without_the_key_or_with_another_one_the_anchor_is_the_first_that_is_bad(
    database: Path, verify: Verify
) -> None:
    name = cut(database, 3)
    code, said = verify()
    assert (code, said[0]) == (
        1,
        f"chain {name}: record 3 was deleted; set ORIS_AUDIT_ANCHOR_KEY to check why",
    )
    code, said = verify("--audit-anchor-key", "j" * 40)
    assert (code, said[0]) == (1, f"chain {name}: record 3 was deleted, and its anchor is not signed with this key")


@pytest.mark.parametrize(
    "forged",
    [
        "UPDATE runtime_audit_anchors SET seq = 4",
        "UPDATE runtime_audit_anchors SET hash = zeroblob(32)",
        "UPDATE runtime_audit_anchors SET signature = zeroblob(32)",
    ],
)
def test_an_anchor_that_was_changed_is_no_anchor(database: Path, verify: Verify, forged: str) -> None:
    name = cut(database, 3)
    change(database, forged)
    code, said = verify(*WITH_KEY)
    assert code == 1
    assert said[0].startswith(f"chain {name}: record ")
    assert "not signed" in said[0]


def test_an_anchor_of_another_chain_is_none_of_this_one(database: Path, verify: Verify) -> None:
    cut(database, 3)
    other = chains(database)[1]
    change(database, f"UPDATE runtime_audit_anchors SET chain_id = '{other}'")
    code, said = verify(*WITH_KEY)
    assert code == 1
    assert any("not signed" in line for line in said)


def test_a_chain_that_is_cut_further_than_its_anchor_says_is_found(database: Path, verify: Verify) -> None:
    name = cut(database, 2)
    change(database, f"DELETE FROM runtime_audit_log WHERE chain_id = '{name}' AND seq = 3")
    assert verify(*WITH_KEY) == (1, [f"chain {name}: record 3 is missing", "broken chains: 1; 12 records were read"])


def test_records_that_come_back_before_the_anchor_are_found(database: Path, verify: Verify) -> None:
    with closing(sqlite3.connect(database)) as connection:
        rows = connection.execute("SELECT * FROM runtime_audit_log ORDER BY id LIMIT 2").fetchall()
    name = cut(database, 2)
    with closing(sqlite3.connect(database)) as connection:
        connection.executemany(f"INSERT INTO runtime_audit_log VALUES ({', '.join('?' * len(rows[0]))})", rows)
        connection.commit()
    code, said = verify(*WITH_KEY)
    assert (code, len(said)) == (1, 2)
    assert said[0].startswith(f"chain {name}: record 3 (")


def test_a_tail_that_was_cut_behind_an_anchor_shows_against_heads_kept_elsewhere(
    database: Path, verify: Verify, heads: Path
) -> None:
    name = cut(database, 2, chain=2)
    change(database, f"DELETE FROM runtime_audit_log WHERE chain_id = '{name}' AND seq > 3")
    assert verify(*WITH_KEY)[0] == 0
    code, said = verify("--heads", str(heads), *WITH_KEY)
    assert (code, said[0]) == (1, f"chain {name}: record 4 is missing")


def test_heads_of_chains_that_have_gone_are_their_anchors(
    database: Path, heads: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cut(database, 5)
    assert main(["audit", "heads", "--sqlite-db", str(database)]) == 0
    assert capsys.readouterr().out == heads.read_text()


def test_a_trail_that_is_cut_while_it_is_read_is_in_order(
    database: Path, verify: Verify, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server beside the check lets records go between two of its pages."""
    real = audit_trail.SqliteTrail.records
    done: list[str] = []

    def records(self: audit_trail.SqliteTrail) -> Iterator[AuditRecord]:
        for number, entry in enumerate(real(self)):
            if number == 1 and not done:
                done.append(cut(database, 4))
            yield entry

    monkeypatch.setattr(audit_trail, "PAGE", 2)
    monkeypatch.setattr(audit_trail.SqliteTrail, "records", records)
    code, said = verify(*WITH_KEY)
    assert (code, said) == (0, ["13 records in 3 chains: all unchanged"])
