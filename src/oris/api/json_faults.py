"""What is wrong with a body that is no JSON, or such JSON as other readers stumble over: in words, and where."""

from __future__ import annotations

import re
from collections.abc import Iterator
from math import isinf

import msgspec

from oris.api.json_place import Token, doubled, joined, name_of, place, token_at, tokens
from oris.errors import ApiError, invalid

BODY = "body"
"""The field at fault when it is none in particular."""
TWICE = "this field is given twice"
OUT_OF_RANGE = "a number is out of range; the largest number is about 1.8e308"

_NAME = "the name of a field is expected, in double quotes"
_HALF = "half of a surrogate pair is missing"
_REASONS = {
    "object keys must be strings": _NAME,
    "expected ':'": "a colon is expected between the name of a field and its value",
    "expected ',' or '}'": "a comma or the end of the object is expected",
    "expected ',' or ']'": "a comma or the end of the list is expected",
    "trailing comma in array": "nothing follows the last comma of the list",
    "trailing comma in object": "nothing follows the last comma of the object",
    "trailing characters": "there is more text after the end of the object",
    "invalid number": "this is not a JSON number",
    "invalid escape character in string": "JSON has no such escape",
    "invalid escaped character": "JSON has no such escape",
    "invalid character in unicode escape": "\\u needs four hexadecimal digits",
    "invalid utf-16 surrogate pair": _HALF,
    "unexpected end of escaped utf-16 surrogate pair": _HALF,
}
"""By msgspec's word for it."""
_MALFORMED = re.compile(r"JSON is malformed: (.*) \(byte (\d+)\)")

_HALF_PAIR = re.compile(rb"(?<!\\)(?:\\\\)*(\\u[dD][89abAB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F]))")
_STRINGS_AND_NUMBERS = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"|-?\d[\d.eE+-]*')
_NUMBERS_MAX = 20_000
_LITERALS = (b"true", b"false", b"null")
_LITERAL_MAX = max(map(len, _LITERALS))
_WORD_MAX = 16
_WORD = re.compile(rb"[A-Za-z_]{1,16}")
_WORD_BEFORE = re.compile(rb"[A-Za-z_]+\Z")
_OTHER_LANGUAGES = {"None": "null", "undefined": "null", "True": "true", "False": "false"}


def malformed(body: bytes, error: msgspec.DecodeError) -> ApiError:
    """The 400 for what msgspec does not take for JSON."""
    if not body.strip():
        return invalid(BODY, "the body is empty; a JSON object is expected")
    found = _MALFORMED.fullmatch(str(error))
    if found is None:
        return _ends_early(body)
    reason, offset = found[1], int(found[2])
    if reason == "trailing characters":
        return _fault(body, offset, _REASONS[reason], "")
    if reason in _REASONS:
        return _fault(body, offset, _REASONS[reason])
    offset = _begun(body, offset)
    return _fault(body, offset, _unexpected(body, offset))


def not_utf8(body: bytes, offset: int) -> ApiError:
    """The 400 for bytes that are no text."""
    return invalid(place(body, offset) or BODY, f"not valid UTF-8 (byte {offset})")


def with_nul(body: bytes, offset: int) -> ApiError:
    """The 400 for the escape of NUL."""
    return invalid(place(body, offset) or BODY, "strings must not contain NUL")


def out_of_range(body: bytes) -> ApiError:
    """The 400 for a number beyond a double."""
    offset = next(_infinite(body), None)
    path = "" if offset is None else place(body, offset)
    return invalid(path or BODY, OUT_OF_RANGE)


def too_deep(body: bytes, depth_max: int) -> ApiError:
    """The 400 for brackets within brackets; the field at fault is the body's own, in which they are."""
    beyond = next((token for token in tokens(body) if len(token.stack) > depth_max), None)
    field = None if beyond is None else beyond.stack[0].key
    return invalid(field or BODY, f"is nested deeper than {depth_max} levels")


def given_twice(body: bytes) -> ApiError:
    """The 400 for a field of the body that is there two times."""
    names = (name_of(token.text) for token in doubled(body) if len(token.stack) == 1)
    name = next(names, None)
    return invalid(BODY, "a field is given twice") if name is None else invalid(joined("", name), TWICE)


def _ends_early(body: bytes) -> ApiError:
    """A body that is cut off; msgspec says the same of half a surrogate pair at the end of a string."""
    half = _HALF_PAIR.search(body)
    if half is not None:
        return _fault(body, half.start(1), _HALF)
    begun = _begun(body, len(body))
    word = body[begun:]
    if word and not any(each.startswith(word) for each in _LITERALS):
        return _fault(body, begun, _unexpected(body, begun))
    return invalid(BODY, f"not JSON: the body ends too early (after {len(body)} bytes)")


def _begun(body: bytes, offset: int) -> int:
    """Where a word begins that msgspec took for `true`, `false` or `null`, until this byte; else the byte itself."""
    near = (
        token.start for token in tokens(body[:offset]) if token.end > offset - _LITERAL_MAX and _is_no_literal(token)
    )
    return next(near, offset)


def _is_no_literal(token: Token) -> bool:
    return token.text[:1] in (b"t", b"f", b"n") and token.text not in _LITERALS


def _unexpected(body: bytes, offset: int) -> str:
    if body.startswith(b"\xef\xbb\xbf"):
        return "the body begins with a byte order mark; send it without one"
    if not body.lstrip().startswith(b"{"):
        return "a JSON object is expected, which begins with {"
    token = token_at(body, offset)
    if token is not None and token.text.startswith(b'"'):
        if _HALF_PAIR.search(token.text):
            return _HALF
        return "a control character, such as a new line, has to be escaped in a string"
    if token is not None and token.is_due_as_key:
        return _NAME
    begun = _WORD_BEFORE.search(body, max(0, offset - _WORD_MAX), offset)
    word = _WORD.match(body, offset if begun is None else begun.start())
    if word is None:
        return "strings need double quotes" if body[offset : offset + 1] == b"'" else "a value is expected"
    if word[0] in (b"NaN", b"Infinity"):
        return "JSON has no NaN and no Infinity"
    said = word[0].decode()
    right = _OTHER_LANGUAGES.get(said)
    return f"a value is expected, not {said}" + (f"; write {right}" if right else "")


def _infinite(body: bytes) -> Iterator[int]:
    """Where numbers stand that other readers take for infinity."""
    for count, found in enumerate(_STRINGS_AND_NUMBERS.finditer(body)):
        if count == _NUMBERS_MAX:
            return
        if not found[0].startswith(b'"') and isinf(float(found[0])):
            yield found.start()


def _fault(body: bytes, offset: int, words: str, path: str | None = None) -> ApiError:
    where = place(body, offset) if path is None else path
    return invalid(where or BODY, f"not JSON: {words} (byte {offset})")
