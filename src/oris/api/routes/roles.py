"""Who may call a route."""

from __future__ import annotations

from oris.api.http import Role

PUBLIC = None
ADMINS = frozenset({Role.ADMIN})
OPERATORS = frozenset({Role.ADMIN, Role.OPERATOR})
CLIENTS = frozenset({Role.ADMIN, Role.OPERATOR, Role.CLIENT})
WORKERS = frozenset({Role.ADMIN, Role.WORKER})
READERS = frozenset({Role.ADMIN, Role.OPERATOR, Role.WORKER})
ANY_ROLE = frozenset(Role)
