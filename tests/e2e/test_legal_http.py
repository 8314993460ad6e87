"""What RFC 9110 and RFC 9112 let a client do: a submit, a poll and an ack that come so are carried out and answered."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import count

import pytest
import trio

from .raw_http import Connection, Reply, connect, connected, request_bytes
from .server_process import PATIENCE_S, ServerProcess

HEALTH = request_bytes("GET", "/healthz")


@dataclass(frozen=True)
class Asked:
    """A request, and how it is written."""

    path: str
    content: bytes
    version: str = "HTTP/1.1"
    host: str | None = "Host: localhost"
    media_type: str = "Content-Type: application/json"
    fields: tuple[str, ...] = ()
    chunks: bytes | None = None
    """The body as it is sent in chunks; None: its length is told."""
    length: str = "Content-Length: {}"
    line_end: str = "\r\n"
    ahead: bytes = b""
    answers_ahead: int = 0
    behind: bytes = b""
    ends: bool = False
    """The client ends its side behind the request."""
    piece_bytes: int | None = None

    def written(self) -> bytes:
        framing = self.length.format(len(self.content)) if self.chunks is None else "Transfer-Encoding: chunked"
        lines = [f"POST {self.path} {self.version}", self.host, self.media_type, framing, *self.fields, "", ""]
        head = self.line_end.join(line for line in lines if line is not None)
        body = self.content if self.chunks is None else self.chunks
        return self.ahead + head.encode("latin-1") + body + self.behind


Style = Callable[[Asked], Asked]


def with_fields(*fields: str) -> Style:
    """Requests with these lines in their heads."""
    return lambda asked: replace(asked, fields=fields)


def in_one_chunk(asked: Asked) -> Asked:
    return replace(asked, chunks=b"%x\r\n%b\r\n0\r\n\r\n" % (len(asked.content), asked.content))


def in_many_chunks(asked: Asked) -> Asked:
    """A chunk for each byte, with whatever may stand beside it."""
    parts = [b'00%X;name="a;b";other\r\n%c\r\n' % (1, each) for each in asked.content]
    chunks = b"".join([*parts, b"000;last\r\nx-sum: 17\r\nX-Other: y\r\n\r\n"])
    return replace(asked, chunks=chunks, fields=("Trailer: x-sum",))


OFFER = ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQBAAAAAAIAAAAA")

STYLES: dict[str, Style] = {
    "plain": lambda asked: asked,
    "the client ends its side": lambda asked: replace(asked, ends=True),
    "byte by byte": lambda asked: replace(asked, piece_bytes=1),
    "an empty line ahead": lambda asked: replace(asked, ahead=b"\r\n"),
    "many empty lines ahead": lambda asked: replace(asked, ahead=b"\r\n\n\r\n"),
    "an empty line ahead, byte by byte": lambda asked: replace(asked, ahead=b"\r\n\r\n", piece_bytes=1),
    "an empty line behind": lambda asked: replace(asked, behind=b"\r\n"),
    "an empty line behind a request that closes": lambda asked: replace(
        asked, behind=b"\r\n", fields=("Connection: close",)
    ),
    "another request behind one that closes, which does not count": lambda asked: replace(
        asked, behind=HEALTH, fields=("Connection: close",)
    ),
    "an empty line behind HTTP/1.0": lambda asked: replace(asked, behind=b"\r\n", version="HTTP/1.0", host=None),
    "an empty line behind, and the end": lambda asked: replace(asked, behind=b"\r\n", ends=True),
    "an empty line behind, and another request": lambda asked: replace(asked, behind=b"\r\n" + HEALTH),
    "lines that end with LF alone": lambda asked: replace(asked, line_end="\n"),
    "a request ahead": lambda asked: replace(asked, ahead=HEALTH, answers_ahead=1),
    "requests ahead and behind, and the end": lambda asked: replace(
        asked, ahead=HEALTH * 2, answers_ahead=2, behind=HEALTH, ends=True
    ),
    "an absolute target": lambda asked: replace(asked, path=f"http://localhost{asked.path}"),
    "an absolute target in capitals": lambda asked: replace(asked, path=f"HTTP://LOCALHOST:80{asked.path}"),
    "an absolute target that overrides the host": lambda asked: replace(
        asked, path=f"http://localhost{asked.path}", host="Host: elsewhere.example"
    ),
    "a host in capitals, with a port": lambda asked: replace(asked, host="HOST: LocalHost:8080"),
    "a host that is an address": lambda asked: replace(asked, host="Host: [::1]:8080"),
    "an empty query": lambda asked: replace(asked, path=f"{asked.path}?"),
    "letters of the path percent-encoded": lambda asked: replace(asked, path=asked.path.replace("s", "%73")),
    "HTTP/1.0 without a host": lambda asked: replace(asked, version="HTTP/1.0", host=None),
    "HTTP/1.0 that would persist": lambda asked: replace(asked, version="HTTP/1.0", fields=("Connection: keep-alive",)),
    "a later minor version": lambda asked: replace(asked, version="HTTP/1.2"),
    "the media type with a parameter": lambda asked: replace(
        asked, media_type='Content-Type: Application/JSON ; charset="UTF-8"'
    ),
    "a length with zeros ahead": lambda asked: replace(asked, length="Content-Length: 000{}"),
    "the same length twice": lambda asked: replace(asked, length="Content-Length: {0}\r\nContent-Length: {0}"),
    "the same length twice in a list": lambda asked: replace(asked, length="Content-Length: {0}, {0}"),
    "fields without a space, with tabs, empty, in any case": with_fields(
        "aCCePT:*/*", "x-one:\t one \t", "x-none:", "x-none: ", "X-Latin: caf\xe9"
    ),
    "a field over two lines": with_fields("x-one: one\r\n two"),
    "fields about what is wanted back": with_fields(
        "Accept: text/html",
        "Accept: */*;q=0.1",
        "Accept-Encoding: gzip, br",
        "Accept-Language: de",
        "Accept-Charset: latin1",
    ),
    "conditions and ranges": with_fields(
        'If-None-Match: "x"', "If-Modified-Since: Sat, 29 Oct 1994 19:43:31 GMT", "Range: bytes=0-1", "Max-Forwards: 1"
    ),
    "trailers are welcome": with_fields("TE: trailers, deflate;q=0.5", "Connection: TE"),
    "a cookie, a user agent, a referer": with_fields(
        "Cookie: a=1; b=2", "Cookie: c=3", "User-Agent: (x) y/1", "From: a@b.example"
    ),
    "the connection is to be closed": with_fields("Connection: Close"),
    "the connection is to be kept": with_fields("Connection: keep-alive", "Keep-Alive: timeout=5, max=100"),
    "an offer of HTTP/2": with_fields(*OFFER),
    "an offer of websockets": with_fields("Connection: upgrade", "Upgrade: websocket, x/1"),
    "an offer of HTTP/2, and the end": lambda asked: replace(asked, fields=OFFER, ends=True),
    "a body without waiting for the 100 that was asked for": with_fields("Expect: 100-continue"),
    "an expectation of HTTP/1.0": lambda asked: replace(asked, version="HTTP/1.0", fields=("Expect: 100-Continue",)),
    "other methods ahead": lambda asked: replace(
        asked,
        ahead=b"".join(
            f"{line} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
            for line in ("OPTIONS *", "OPTIONS /v1/jobs", "CONNECT localhost:80", "BREW /v1/jobs", "TRACE /healthz")
        ),
        answers_ahead=5,
    ),
    "one chunk": in_one_chunk,
    "a chunk for each byte, with extensions, and trailers": in_many_chunks,
    "chunks, byte by byte, and the end": lambda asked: replace(in_many_chunks(asked), piece_bytes=1, ends=True),
}


async def answered(address: tuple[str, int], asked: Asked) -> Reply:
    """Send a request as it is written, and read what it gets."""
    async with connected(address) as connection:
        data = asked.written()
        size = asked.piece_bytes or len(data)
        for start in range(0, len(data), size):
            await connection.stream.send_all(data[start : start + size])
        if asked.ends:
            assert isinstance(connection.stream, trio.SocketStream)
            await connection.stream.send_eof()
        for _ in range(asked.answers_ahead):
            await read_one(connection)
        return await read_one(connection)


async def read_one(connection: Connection) -> Reply:
    """The next answer that is not interim."""
    while True:
        reply = await connection.read()
        if reply.status != 100:
            return reply


NUMBERS = count(1)


@pytest.mark.parametrize("name", STYLES)
async def test_what_a_client_may_do_is_carried_out_and_answered(server: ServerProcess, name: str) -> None:
    made, thread = STYLES[name], f"t{next(NUMBERS)}"

    async def post(path: str, **body: object) -> Reply:
        return await answered(server.address, made(Asked(path, json.dumps(body).encode())))

    with trio.fail_after(PATIENCE_S):
        submitted = (await post("/v1/jobs/run", thread_id=thread, workflow=thread)).data
        assert submitted["status"] == "queued"
        polled = (await post("/v1/workers/poll", worker_id="w", workflows=[thread])).data
        assert [attempt["thread_id"] for attempt in polled["attempts"]] == [thread]
        held = {"attempt_id": polled["attempt_id"], "lease_id": polled["lease_id"]}
        acked = (await post("/v1/workers/w/ack", **held, terminal_status="completed", result={"a": 1})).data
        assert acked["status"] == "completed"


async def test_a_parked_poll_ends_when_its_client_ends_its_side(server: ServerProcess) -> None:
    """It has said all that it will, and may have gone: it takes nothing, and is answered."""
    asked = Asked("/v1/workers/poll", b'{"worker_id":"w","wait_ms":55000,"workflows":["none"]}', ends=True)
    with trio.fail_after(PATIENCE_S):
        assert (await answered(server.address, asked)).data["decision"] == "noop"


async def test_a_wait_for_a_run_ends_when_its_client_ends_its_side(server: ServerProcess) -> None:
    asked = Asked("/v1/jobs/run", b'{"thread_id":"waited-for","workflow":"nobody","wait_ms":55000}', ends=True)
    with trio.fail_after(PATIENCE_S):
        assert (await answered(server.address, asked)).data["status"] == "queued"


async def test_a_body_is_asked_for_where_the_client_waits_for_that(server: ServerProcess) -> None:
    asked = Asked("/v1/jobs/run", b'{"thread_id":"expects","workflow":"nobody"}', fields=("expect: 100-continue",))
    head, _, body = asked.written().partition(b"\r\n\r\n")
    with trio.fail_after(PATIENCE_S):
        connection = await connect(server.address)
        async with connection.stream:
            await connection.stream.send_all(head + b"\r\n\r\n")
            assert b"100" in await connection.stream.receive_some(15)
            await connection.stream.receive_some(1000)
            await connection.stream.send_all(body)
            assert (await connection.read()).data["status"] == "queued"


@pytest.mark.parametrize(
    ("fields", "kept"),
    [
        ((), True),
        (("Connection: keep-alive",), True),
        (("Connection: close",), False),
        (("Connection: TE, Close",), False),
    ],
)
async def test_a_client_is_told_how_long_its_connection_is_kept(
    server: ServerProcess, fields: tuple[str, ...], kept: bool
) -> None:
    async with connected(server.address) as connection:
        for path, status in (("/healthz", 200), ("/nowhere", 404)) if kept else (("/healthz", 200),):
            reply = await connection.ask("GET", path, None, *fields)
            assert reply.status == status
            assert reply.headers["connection"] == ("keep-alive" if kept else "close")
            assert reply.headers.get("keep-alive") == ("timeout=75" if kept else None)
        if not kept:
            assert await connection.at_end()
