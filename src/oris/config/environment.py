"""`ORIS_*` variables that are not settings: somebody else's, injected, or a slip of the finger."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from oris.config.field import ENV_PREFIX
from oris.config.one_line import one_line
from oris.config.settings import FIELDS
from oris.config.sources import environment_name
from oris.errors import ConfigError

# Those of the client and the worker, of tests and benchmarks: known, and not the server's.
_FOREIGN = frozenset({"ORIS_WORKER_ID", "ORIS_URL"})
_FOREIGN_PREFIXES = ("ORIS_TEST_", "ORIS_BENCH_")
_OWN = frozenset(environment_name(spelling) for field in FIELDS for spelling in field.spellings)


def environment_warnings(environ: Mapping[str, str], *, strict: bool) -> list[str]:
    """Warnings about variables that will not do what was hoped.

    Raises ConfigError for an unknown one that is a single edit away from a known name, and with `strict`
    for any unknown one.
    """
    unknown = sorted(name for name, value in environ.items() if value and _is_unknown(name))
    for name in unknown:
        meant = [known for known in sorted(_OWN | _FOREIGN) if one_edit_apart(name, known)]
        if meant:
            raise ConfigError(f"environment {one_line(name)} is not a setting; did you mean {meant[0]}?")
    if not unknown:
        return []
    names = one_line(", ".join(unknown), limit=1000)
    if strict:
        raise ConfigError(f"environment {names}: not a setting, so --strict-config refuses it")
    return [
        f"unknown environment variables, ignored: {names} "
        "(Kubernetes sets such variables for a service named oris; enableServiceLinks: false stops it)"
    ]


def rust_log_hint(environ: Mapping[str, str], levels_source: str, levels: object) -> list[str]:
    """A hint for who sets the variable of Rust programs and nothing else about logs."""
    if not environ.get("RUST_LOG") or levels_source != "default":
        return []
    return [f"RUST_LOG is set but not read; ORIS_LOG has the same syntax, and is now {levels}"]


def _is_unknown(name: str) -> bool:
    if not name.startswith(ENV_PREFIX) or name.startswith(_FOREIGN_PREFIXES):
        return False
    return name not in _OWN and name not in _FOREIGN


def one_edit_apart(one: str, other: str) -> bool:
    """Whether one insertion, deletion, substitution or swap of neighbours makes one text the other."""
    head = _common(zip(one, other, strict=False))
    one, other = one[head:], other[head:]
    tail = _common(zip(reversed(one), reversed(other), strict=False))
    one, other = one[: len(one) - tail], other[: len(other) - tail]
    if len(one) == 2 and one == other[::-1]:
        return True
    return max(len(one), len(other)) == 1


def _common(pairs: Iterable[tuple[str, str]]) -> int:
    count = 0
    for left, right in pairs:
        if left != right:
            break
        count += 1
    return count
