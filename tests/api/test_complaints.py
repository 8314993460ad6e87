"""Each message about a request that cannot be taken says what is wrong, where, and what to do; none is msgspec's."""

from __future__ import annotations

import re
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import pytest

from oris.api.head import query_options
from oris.api.routes import route_table
from oris.api.strict_json import decode, decoder
from oris.errors import ApiError
from oris.wire.history import TimelineQuery
from oris.wire.jobs import BatchRequest, CancelRequest, JobRequest, JobsQuery
from oris.wire.keys import CreateKeyRequest, RevokeKeyRequest
from oris.wire.names import BOUND_TENANT, NAME, RULES, TENANT
from oris.wire.operators import AuditQuery
from oris.wire.waits import ResumeRequest, SuspendRequest
from oris.wire.workers import AckRequest, HeartbeatRequest, PollRequest, ReportRequest

from ..fuzz.bodies import VALID
from ..fuzz.bodies import body as fuzzed

T = b'"thread_id":"t"'
A = b'"attempt_id":"a","lease_id":"l"'
NAMED = RULES[NAME]

FIELDS: list[tuple[type[msgspec.Struct], bytes, str, str]] = [
    # Names of fields.
    (JobRequest, b'{%b,"prority":1}' % T, "prority", 'unknown field; did you mean "priority"?'),
    (JobRequest, b'{"threadId":"t"}', "threadId", 'unknown field; did you mean "thread_id"?'),
    (JobRequest, b'{%b,"timeout_ms":1}' % T, "timeout_ms", 'unknown field; did you mean "timeout_policy.timeout_ms"?'),
    (JobRequest, b'{%b,"maxRetries":1}' % T, "maxRetries", 'unknown field; did you mean "retry_policy.max_retries"?'),
    (JobRequest, b'{%b,"retry_policy":{"strategy":"fixed","backoff":1}}' % T, "retry_policy.backoff", "backoff_ms"),
    (BatchRequest, b'{"jobs":[{%b},{%b,"workflows":1}]}' % (T, T), "jobs[1].workflows", 'did you mean "workflow"?'),
    (
        CancelRequest,
        b'{"zzz":1}',
        "zzz",
        "unknown field; the known ones are: reason, mode, grace_ms, run_id, tenant_id",
    ),
    (RevokeKeyRequest, b'{"zzz":1}', "zzz", "unknown field; none is expected here"),
    (CancelRequest, b'{"%b":1}' % (b"x" * 5000), "x" * 64 + "…", "unknown field"),
    # What is missing.
    (JobRequest, b"{}", "thread_id", "this field is required"),
    (JobRequest, b'{"thread_id":null}', "thread_id", "this field is required, and must not be null"),
    (JobRequest, b'{%b,"timeout_policy":{}}' % T, "timeout_policy.timeout_ms", "this field is required"),
    (ResumeRequest, b"{}", "value", "this field is required"),
    (SuspendRequest, b'{%b,"waits":[{"key":"k"}]}' % A, "waits[0].kind", "required: one of time, interrupt"),
    (SuspendRequest, b'{%b,"waits":[{"kind":"interrupt","key":"k"}]}' % A, "waits[0].value", "this field is required"),
    (ReportRequest, b'{%b,"steps":[{"action_id":"a"}]}' % A, "steps[0].status", "this field is required"),
    # Words.
    (CancelRequest, b'{"mode":"gracefull"}', "mode", 'one of: graceful, terminate; did you mean "graceful"?'),
    (CancelRequest, b'{"mode":"now"}', "mode", "has to be one of: graceful, terminate"),
    (CancelRequest, b'{"mode":1}', "mode", "has to be one of: graceful, terminate"),
    (SuspendRequest, b'{%b,"waits":[{"kind":1e999,"key":"k"}]}' % A, "waits[0].kind", "one of: time, interrupt"),
    (SuspendRequest, b'{%b,"waits":[{"kind":"signal","key":"k"}]}' % A, "waits[0].kind", "one of: time, interrupt"),
    (CreateKeyRequest, b'{"role":"Admin"}', "role", 'did you mean "admin"?'),
    # Numbers.
    (JobRequest, b'{%b,"priority":101}' % T, "priority", "has to be between 0 and 100"),
    (JobRequest, b'{%b,"priority":-1.0}' % T, "priority", "has to be between 0 and 100"),
    (JobRequest, b'{%b,"priority":%b}' % (T, b"9" * 300), "priority", "has to be between 0 and 100"),
    (JobRequest, b'{%b,"priority":1.5}' % T, "priority", "a whole number is expected, not 1.5"),
    (JobRequest, b'{%b,"priority":1e400}' % T, "priority", "has to be between 0 and 100"),
    (JobRequest, b'{%b,"priority":"1"}' % T, "priority", "a whole number is expected, not a string"),
    (JobRequest, b'{%b,"priority":true}' % T, "priority", "a whole number is expected, not true"),
    (JobRequest, b'{%b,"retry_policy":{"multiplier":0.5}}' % T, "retry_policy.multiplier", "between 1 and 100"),
    (JobRequest, b'{%b,"retry_policy":{"multiplier":1e400}}' % T, "retry_policy.multiplier", "out of range"),
    (
        JobRequest,
        b'{%b,"retry_policy":{"multiplier":"2"}}' % T,
        "retry_policy.multiplier",
        "a number is expected, not a",
    ),
    # Text.
    (JobRequest, b'{"thread_id":"a b"}', "thread_id", NAMED),
    (JobRequest, b'{"thread_id":".."}', "thread_id", NAMED),
    (JobRequest, b'{"thread_id":""}', "thread_id", NAMED),
    (JobRequest, b'{"thread_id":7}', "thread_id", "a string is expected, not a number"),
    (JobRequest, b'{%b,"tenant_id":"a b"}' % T, "tenant_id", RULES[TENANT]),
    (CreateKeyRequest, b'{"role":"admin","tenant_id":""}', "tenant_id", RULES[BOUND_TENANT]),
    (JobRequest, b'{%b,"idempotency_key":""}' % T, "idempotency_key", "must not be empty"),
    (JobRequest, b'{%b,"idempotency_key":"%b"}' % (T, b"k" * 257), "idempotency_key", "at most 256 characters long"),
    (JobRequest, b'{%b,"metadata":{"a":1}}' % T, "metadata.a", "a string is expected, not a number"),
    (JobRequest, b'{%b,"metadata":{"a.b":1}}' % T, 'metadata["a.b"]', "a string is expected, not a number"),
    (JobRequest, b'{%b,"metadata":{"a":null}}' % T, "metadata.a", "a string is expected, not null"),
    (JobRequest, b'{%b,"metadata":[]}' % T, "metadata", "an object is expected, not a list"),
    # Times.
    (
        JobRequest,
        b'{%b,"run_at":"tomorrow"}' % T,
        "run_at",
        "an RFC 3339 time is expected, such as 2026-01-31T12:00:00Z",
    ),
    (
        JobRequest,
        b'{%b,"run_at":1700000000}' % T,
        "run_at",
        "an RFC 3339 time is expected, such as 2026-01-31T12:00:00Z",
    ),
    (JobRequest, b'{%b,"run_at":"2026-01-31T12:00:00"}' % T, "run_at", "the time needs a zone: Z, or an offset"),
    *(
        (
            JobRequest,
            b'{%b,"run_at":"%b"}' % (T, time),
            "run_at",
            "this time does not exist: the date, the time of day or",
        )
        for time in (b"2026-02-30T00:00:00Z", b"2026-01-31T12:00:60Z", b"2026-01-31T12:00:00+25:00")
    ),
    # A field that an object has twice: each is looked at.
    *(
        (JobRequest, b'{%b,"%b":{%b}}' % (T, field, fields), f"{field.decode()}.{name}", "this field is given twice")
        for field, name, fields in (
            (b"retry_policy", "backoff_ms", b'"strategy":"fixed","backoff_ms":1.5,"backoff_ms":2,"max_retries":1'),
            (b"retry_policy", "backoff_ms", b'"strategy":"fixed","backoff_ms":null,"backoff_ms":2,"max_retries":1'),
            (b"retry_policy", "strategy", b'"strategy":"x","strategy":"fixed","backoff_ms":1,"max_retries":1'),
            (b"metadata", "a", b'"a":1,"a":"x"'),
        )
    ),
    (BatchRequest, b'{"jobs":[{%b,"priority":"x","priority":1}]}' % T, "jobs[0].priority", "this field is given twice"),
    (SuspendRequest, b'{%b,"waits":[{"kind":"time","key":1,"key":"k","after_ms":1}]}' % A, "waits[0].key", "twice"),
    (
        JobRequest,
        b'{%b,"input":{"a":1,"a":2},"priority":"x","priority":1}' % T,
        "priority",
        "this field is given twice",
    ),
    # Lists and objects.
    (BatchRequest, b'{"jobs":[]}', "jobs", "the list has to have 1 to 1000 items"),
    (BatchRequest, b'{"jobs":[%b1]}' % (b"1," * 1000), "jobs", "the list has to have 1 to 1000 items"),
    (BatchRequest, b'{"jobs":{}}', "jobs", "a list is expected, not an object"),
    (BatchRequest, b'{"jobs":[1]}', "jobs[0]", "an object is expected, not a number"),
    (PollRequest, b'{"worker_id":"w","workflows":["a","b c"]}', "workflows[1]", NAMED),
    (PollRequest, b'{"worker_id":"w","watch":"yes"}', "watch", "true or false is expected, not a string"),
    (HeartbeatRequest, b'{"lease_ids":[%b""]}' % (b'"l",' * 1000), "lease_ids", "has to have at most 1000 items"),
    (AckRequest, b'{"acks":[{%b,"terminal_status":"done"}]}' % A, "acks[0].terminal_status", "one of: cancelled, "),
    (AckRequest, b'{%b,"poll":{"wait_ms":1}}' % A, "poll.wait_ms", "unknown field"),
    (JobRequest, b"[]", "body", "a JSON object is expected, not a list"),
    (JobRequest, b" null ", "body", "a JSON object is expected, not null"),
    *(
        (JobRequest, b'{%b,"priority":%b}' % (T, number), "priority", "has to be between 0 and 100")
        for number in (b"1e99999999999999999999", b"0e9999999999999999999", b"-1e400", b"1e41")
    ),
    (JobRequest, b'{%b,"priority":0e-9999999999999999999}' % T, "priority", "a whole number is expected"),
    # One fault is told at a time: first that it is no JSON, then a field that nobody knows, then the others.
    (JobRequest, b'{%b,"priority":"x","workflw":1}' % T, "workflw", "unknown field"),
    (JobRequest, b'{"priority":"x","thread_id":"a b"}', "thread_id", "1 to 256"),
    (JobRequest, b'{%b,"priority":"x","input":[1,]}' % T, "input[1]", "not JSON"),
]

FAULTS: list[tuple[bytes, str, str]] = [
    (b"", "body", "the body is empty; a JSON object is expected"),
    (b" \r\n\t", "body", "the body is empty; a JSON object is expected"),
    (b'{"thread_id":"t"', "body", "not JSON: the body ends too early (after 16 bytes)"),
    *(
        (b'{"thread_id":%b}' % word, "thread_id", f"not JSON: a value is expected, not {word.decode()} (byte 13)")
        for word in (b"t", b"n", b"no", b"tru", b"fals")
    ),
    *(
        (b'{"thread_id":%b' % word, "body", f"not JSON: the body ends too early (after {13 + len(word)} bytes)")
        for word in (b"t", b"nul", b"fals", b'"t', b'"not t}')
    ),
    (b'{"thread_id":trust', "thread_id", "not JSON: a value is expected, not trust"),
    (b'{"thread_id":"t"} x', "body", "not JSON: there is more text after the end of the object (byte 19)"),
    (b"thread_id=t", "body", "not JSON: a JSON object is expected, which begins with {"),
    (b"\xef\xbb\xbf{}", "body", "the body begins with a byte order mark; send it without one"),
    (b"{'thread_id':'t'}", "body", "the name of a field is expected, in double quotes (byte 1)"),
    (b"{\"thread_id\":'t'}", "thread_id", "strings need double quotes"),
    (b'{"thread_id" "t"}', "thread_id", "a colon is expected between the name of a field and its value"),
    (b'{"thread_id":"t" "x":1}', "thread_id", "a comma or the end of the object is expected"),
    (b'{"thread_id":"t",}', "body", "nothing follows the last comma of the object"),
    (b'{"thread_id":"t","thread_id":"u"}', "thread_id", "this field is given twice"),
    (b'{"thread_id":"t","thread\\u005fid":"u"}', "thread_id", "this field is given twice"),
]
INPUTS: list[tuple[bytes, str, str]] = [
    (b'{"a":[1,{"b":NaN}]}', "input.a[1].b", "JSON has no NaN and no Infinity"),
    (b'{"a":[1,{"b":-Infinity}]}', "input.a[1].b", "JSON has no NaN and no Infinity"),
    (b'{"a":[1,{"b":None}]}', "input.a[1].b", "a value is expected, not None; write null"),
    (b"[n]", "input[0]", "a value is expected, not n"),
    *(
        (b'{"a":[1,{%b:1}]}' % name, "input.a[1]", "the name of a field is expected, in double quotes")
        for name in (b"a", b"1", b"'a'", b"[1]", b"true")
    ),
    (b'{"a":[1,{"b":tru}]}', "input.a[1].b", "a value is expected, not tru"),
    (b'{"a":[1,{"b":"\\u0000"}]}', "input.a[1].b", "strings must not contain NUL"),
    (b'{"a":[1,{"\\u0000":1}]}', "input.a[1]", "strings must not contain NUL"),
    (b'{"a":[1,{"b":1e999}]}', "input.a[1].b", "a number is out of range"),
    (b'{"a":[1,{"b":%b}]}' % (b"9" * 310), "input.a[1].b", "a number is out of range"),
    (b'{"a":[1,{"b":%be99}]}' % (b"9" * 308), "input.a[1].b", "a number is out of range"),
    (b'{"a":[1,{"b":%bE+99}]}' % (b"9" * 211), "input.a[1].b", "a number is out of range"),
    (b'{"a":[1,{"b":"\\ud800"}]}', "input.a[1].b", "half of a surrogate pair is missing"),
    (b'{"a":[1,{"b":"\\ud800x"}]}', "input.a[1].b", "half of a surrogate pair is missing"),
    (b'{"a":[1,{"b":"\xff"}]}', "input.a[1].b", "not valid UTF-8 (byte 40)"),
    (b'{"a":[1,{"b":"x\ny"}]}', "input.a[1].b", "a control character, such as a new line, has to be escaped"),
    (b'{"a":[1,{"b":"\\x"}]}', "input.a[1].b", "JSON has no such escape"),
    (b'{"a":[1,{"b":"\\u00g0"}]}', "input.a[1].b", "needs four hexadecimal digits"),
    (b'{"a":[1,{"b":01}]}', "input.a[1].b", "this is not a JSON number"),
    (b'{"a":[1,2 3]}', "input.a[1]", "a comma or the end of the list is expected"),
    (b'{"a":[1,]}', "input.a[1]", "nothing follows the last comma of the list"),
    (b'{"a b":[{"":tru}]}', 'input["a b"][0][""]', "a value is expected, not tru"),
    (b"[" * 64 + b"]" * 64, "input", "nested deeper than 64 levels"),
    (b"[" * 100_000 + b"]" * 100_000, "input", "nested deeper than 64 levels"),
]

QUERIES: list[tuple[type[msgspec.Struct], str, str, str]] = [
    (JobsQuery, "limt", "1", 'unknown query parameter; did you mean "limit"?'),
    (JobsQuery, "zz", "1", "unknown query parameter; the known ones are: status, workflow, tenant_id, cursor, limit"),
    (JobsQuery, "", "1", "unknown query parameter; the known ones are: status"),
    (JobsQuery, "status", "runing", 'did you mean "running"?'),
    (JobsQuery, "limit", "0", "has to be between 1 and 200"),
    (JobsQuery, "limit", "9" * 5000, "has to be between 1 and 200"),
    (JobsQuery, "limit", "2.5", "a whole number is expected, not 2.5"),
    (JobsQuery, "limit", "1e9", "has to be between 1 and 200"),
    (JobsQuery, "limit", "007", 'a whole number without leading zeros is expected, not "007"'),
    (JobsQuery, "limit", "null", 'a whole number is expected, not "null"'),
    (JobsQuery, "limit", "", 'a whole number is expected, not ""'),
    (JobsQuery, "workflow", "a b", NAMED),
    (JobsQuery, "cursor", "", "must not be empty"),
    (AuditQuery, "from_ms", "null", 'a whole number is expected, not "null"'),
    (AuditQuery, "action", "job.runs", 'did you mean "job.run"?'),
    (TimelineQuery, "payloads", "yes", 'true or false is expected, not "yes"'),
]


@pytest.mark.parametrize(("kind", "body", "field", "message"), FIELDS, ids=lambda value: repr(value)[:40])
def test_the_field_at_fault_and_what_it_has_to_be_are_told(
    kind: type[msgspec.Struct], body: bytes, field: str, message: str
) -> None:
    assert_told(refusal(kind, body), field, message)


@pytest.mark.parametrize(("body", "field", "message"), FAULTS, ids=lambda value: repr(value)[:40])
def test_a_body_that_is_no_json_is_told_what_it_lacks(body: bytes, field: str, message: str) -> None:
    assert_told(refusal(JobRequest, body), field, message)


@pytest.mark.parametrize(("value", "field", "message"), INPUTS, ids=lambda value: repr(value)[:40])
def test_a_fault_inside_a_clients_own_value_is_told_with_its_path(value: bytes, field: str, message: str) -> None:
    assert_told(refusal(JobRequest, b'{%b,"input": %b}' % (T, value)), field, message)


def test_far_into_a_body_the_fault_is_told_without_its_path() -> None:
    body = b'{%b,"input":[%bNaN]}' % (T, b"1," * 20_000)
    assert_told(refusal(JobRequest, body), "body", "JSON has no NaN and no Infinity")


@pytest.mark.parametrize(("kind", "name", "value", "message"), QUERIES, ids=lambda value: repr(value)[:40])
def test_a_query_is_told_like_a_body(kind: type[msgspec.Struct], name: str, value: str, message: str) -> None:
    with pytest.raises(ApiError) as caught:
        query_options({name: value}, kind)
    assert_told(caught.value, name or "query", message)


def test_a_route_without_parameters_says_so() -> None:
    with pytest.raises(ApiError) as caught:
        query_options({"limit": "1"}, None)
    assert_told(caught.value, "limit", "this route takes no query parameters")


def test_every_pattern_of_a_field_has_its_rule_in_words() -> None:
    routes = route_table(1024).routes
    structs = {kind for route in routes for kind in (route.body, route.query) if kind is not None}
    patterns = set(re.findall(r"pattern='(.*?)'\)", repr([msgspec.inspect.type_info(kind) for kind in structs])))
    assert {pattern.encode().decode("unicode_escape") for pattern in patterns} == set(RULES)


BODIES = {route.path: route.body for route in route_table(4 * 1024 * 1024).routes if route.body is not None}


@pytest.mark.parametrize("path", sorted(VALID))
def test_no_message_is_msgspecs(path: str) -> None:
    """Some thousand bodies that are nearly right, over all routes."""
    told = [each for seed in range(150) if (each := told_of(path, fuzzed(Random(f"{path} {seed}"), path))) is not None]
    assert len(told) > 20
    for field, message in told:
        assert 0 < len(field) <= 400
        assert not re.search(r"`|msgspec|malformed|Expected|Object |Invalid|truncated", message), message
        assert message != "not a valid body for this route", (field, message)


def told_of(path: str, body: bytes) -> tuple[str, str] | None:
    """The field and the message of a refusal; None: the body is taken."""
    try:
        decode(body, decoder(BODIES[path]).decoder)
    except ApiError as error:
        return str((error.details or {})["field"]), error.message
    return None


DOCS = Path(__file__).parent.parent.parent / "docs" / "api.md"
_SECTION = DOCS.read_text().split("## Bad input")[1].split("\n## ")[0]
ROWS = re.findall(r"^\| (?:`(.+?)`|nothing) \| `(.+?)` \| (.+) \|$", _SECTION, re.MULTILINE)


def test_the_docs_have_examples() -> None:
    assert len(ROWS) == 12


@pytest.mark.parametrize(("sent", "field", "message"), ROWS)
def test_the_examples_of_the_docs_are_true(sent: str, field: str, message: str) -> None:
    with pytest.raises(ApiError) as caught:
        _take(sent)
    assert (caught.value.details or {})["field"] == field
    assert re.fullmatch(re.escape(message).replace("…", ".*"), caught.value.message)


def _take(sent: str) -> None:
    if sent.startswith("?"):
        name, _, value = sent[1:].partition("=")
        query_options({name: value}, JobsQuery)
        return
    kinds: dict[str, type[msgspec.Struct]] = {'{"jobs"': BatchRequest, '{"mode"': CancelRequest}
    decode(sent.encode(), decoder(kinds.get(sent[:7], JobRequest)).decoder)


def refusal(kind: type[msgspec.Struct], body: bytes) -> ApiError:
    """Why a body of this type is refused."""
    with pytest.raises(ApiError) as caught:
        decode(body, decoder(kind).decoder)
    return caught.value


def assert_told(error: ApiError, field: str, message: str) -> None:
    """A 400 for this field, with these words."""
    details: Any = error.details
    assert (error.code, details["field"]) == ("invalid_argument", field)
    assert message in error.message
