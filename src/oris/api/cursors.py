"""The cursors of lists: a place in a list as text that needs no escaping in a URL, and names its list."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode

from oris.errors import not_a_cursor
from oris.storage.pages import Place

_DIGITS_MAX = 19


def cursor_of(listed: str, place: Place) -> str:
    """The cursor of the page that begins behind this place; `listed` names the list."""
    text = f"{listed} {place.number} {place.id}"
    return urlsafe_b64encode(text.encode()).rstrip(b"=").decode()


def place_in(listed: str, cursor: str) -> Place:
    """The place that a cursor of this list stands for. Raises ApiError 400 for any other text."""
    try:
        text = urlsafe_b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4)).decode()
    except ValueError:
        raise not_a_cursor() from None
    of, _, rest = text.partition(" ")
    number, _, name = rest.partition(" ")
    if of != listed or not (number.isascii() and number.isdigit() and len(number) < _DIGITS_MAX):
        raise not_a_cursor()
    place = Place(int(number), name)
    if cursor_of(listed, place) != cursor:  # decoding passes over what is not of its alphabet
        raise not_a_cursor()
    return place
