"""What is said of a path that no route has, or of a method that its routes do not have: what was meant, perhaps."""

from __future__ import annotations

from difflib import SequenceMatcher
from urllib.parse import unquote

from oris.api.http import MethodNotAllowed, NotFound, Route, RouteTable
from oris.errors import ApiError, Details, ErrorCode

_NEAR = 0.75
"""How alike two words have to be, 1 being the same."""
_WORD_MAX = 32
"""Longer ones are no words of a route: anybody may ask, and is answered at once."""
_SEGMENTS_MAX = 8


def no_route(found: NotFound | MethodNotAllowed, table: RouteTable, method: str, path: str) -> ApiError:
    """The 404, with the route that is almost the one asked for; the 405, with the methods that there are."""
    details: Details = {"method": method, "path": path}
    if isinstance(found, MethodNotAllowed):
        allowed = list(found.allowed)
        route = f"this is {found.pattern}, which" if "{" in found.pattern else "this route"
        message = f"{route} takes {' and '.join(allowed)}, not {method[:_WORD_MAX]}"
        return ApiError(ErrorCode.METHOD_NOT_ALLOWED, message, {**details, "allowed": allowed})
    return ApiError(ErrorCode.NOT_FOUND, f"no such route; {_hint(table, method, path)}", details)


def _hint(table: RouteTable, method: str, path: str) -> str:
    try:
        unquote(path, errors="strict")
    except UnicodeDecodeError:
        return "a percent-encoded part of the path is not UTF-8"
    near = _nearest(table, method, path)
    return "GET /openapi.json lists all routes" if near is None else f"did you mean {near.method} {near.path}?"


def _nearest(table: RouteTable, method: str, path: str) -> Route | None:
    """The route whose words are those of the path, or almost; slashes too many and a forgotten `/v1` do not count."""
    words = [word for word in path.split("/") if word]
    if not 0 < len(words) <= _SEGMENTS_MAX:
        return None
    near = {route: max(_likeness(route, words), _likeness(route, ["v1", *words])) for route in table.routes}
    best = max(near, key=lambda route: (near[route], route.method == method))
    return best if near[best] else None


def _likeness(route: Route, words: list[str]) -> float:
    """How near the words of a path are to those of a route, at most 1; 0: not near."""
    pattern = route.path.split("/")[1:]
    if len(pattern) != len(words):
        return 0.0
    pairs = [(own, word) for own, word in zip(pattern, words, strict=True) if not own.startswith("{")]
    likeness = [_alike(own, word) for own, word in pairs]
    return sum(likeness) / len(likeness) if likeness and all(likeness) else 0.0


def _alike(own: str, word: str) -> float:
    if own == word:
        return 1.0
    if len(word) > _WORD_MAX:
        return 0.0
    ratio = SequenceMatcher(None, own, word.casefold().replace("_", "-")).ratio()
    return ratio if ratio >= _NEAR else 0.0
