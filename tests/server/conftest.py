"""What the tests of the server share with those of the API."""

from __future__ import annotations

from ..api.conftest import credentials

__all__ = ["credentials"]
