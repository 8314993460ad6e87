"""SIGHUP: certificates, credentials, log levels and how long things are kept anew, while everything goes on.

What cannot be read keeps its old value and is an error in the log, one line each; the rest is taken over. The files are
read in a thread, because a file may lie on a disk that does not answer, and only for so long.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

import trio

from oris.api.auth import Authenticator
from oris.api.tls import Credentials, ServerTls, TlsFiles, load_credentials
from oris.config.levels import INFO, LogLevels
from oris.config.reread import RETENTION, Reread, Sources
from oris.config.settings import ROTATION, Settings
from oris.errors import ConfigError
from oris.observability.logs import Logs
from oris.server.front import credentials
from oris.server.tasks import until_stopping
from oris.supervisor import Handle

READ_S = 10.0
"""How long reading the files may take; then this reload has failed."""

T = TypeVar("T")
_TLS = ("tls_cert", "tls_key", "tls_client_ca")
_STATIC = (*ROTATION.values(), *ROTATION)


def tls_files(settings: Settings) -> TlsFiles | None:
    """Where the TLS files are; None: there is no TLS."""
    if settings.tls_cert is None or settings.tls_key is None:
        return None
    return TlsFiles(settings.tls_cert, settings.tls_key, settings.tls_client_ca)


@dataclass
class _Found:
    """What one reload has read, before anything of it is in force."""

    reread: Reread
    credentials: Credentials | None
    problems: list[str] = field(default_factory=list)


class Reloader:
    """A child of the tree that reloads when it is asked to. Asked again while it does, it does so once more."""

    def __init__(
        self,
        settings: Settings,
        sources: Sources,
        logs: Logs,
        set_levels: Callable[[LogLevels], None],
        authenticator: Authenticator,
        tls: ServerTls | None,
        wall_ms: Callable[[], int],
        set_retention: Callable[[Settings], None],
    ) -> None:
        self._settings = settings
        self._sources = sources
        self._log = logs.get("oris.server")
        self._set_levels = set_levels
        self._authenticator = authenticator
        self._tls = tls
        self._wall_ms = wall_ms
        self._set_retention = set_retention
        self._asked = trio.Event()
        self._one = trio.CapacityLimiter(1)

    def ask(self) -> None:
        """Reload soon."""
        self._asked.set()

    async def run(self, handle: Handle, *, task_status: trio.TaskStatus[object]) -> None:
        """Reload whenever asked to, until asked to stop."""
        task_status.started()
        await until_stopping(handle, partial(self._serve, handle))

    async def _serve(self, handle: Handle) -> None:
        while True:
            with handle.idle():
                await self._asked.wait()
            self._asked = trio.Event()
            await self.reload()

    async def reload(self) -> None:
        """Reads everything, then takes it over in one stretch. Every trouble is logged, none is raised."""
        found: _Found | None = None
        with trio.move_on_after(READ_S):
            # Reading changes nothing, so a thread that hangs on a dead disk may be left alone; the next waits for it.
            found = await trio.to_thread.run_sync(self._read, abandon_on_cancel=True, limiter=self._one)
        if found is None:
            self._log.error("reload_failed", detail=f"the files could not be read within {READ_S:g} s")
            return
        for problem in found.problems:
            self._log.error("reload_failed", detail=problem)
        if found.reread.unchangeable:
            self._log.warning("reload_needs_restart", settings=list(found.reread.unchangeable))
        self._take_over(found)

    def _read(self) -> _Found:
        """In a thread. Looks at what is in force, and changes nothing of it."""
        reread = self._sources.read_again(self._settings)
        found = _Found(reread, None, list(reread.problems))
        files = tls_files(reread.settings)
        if self._tls is not None and files is not None:
            try:
                found.credentials = load_credentials(files)
            except ConfigError as error:
                found.problems.append(str(error))
        return found

    def _take_over(self, found: _Found) -> None:
        before, after = self._settings, found.reread.settings
        if self._tls is not None and found.credentials is None:
            after = dataclasses.replace(after, **{name: getattr(before, name) for name in _TLS})
        self._settings, self._sources = after, found.reread.sources
        changed = [name for name in _STATIC if _differs(before, after, name)]
        if changed:
            self._authenticator.replace(credentials(after))
        kept = [name for name in RETENTION if _differs(before, after, name)]
        if kept:
            self._set_retention(after)
            changed += kept
        told: dict[str, Any] = {}
        new = found.credentials
        if self._tls is not None and new is not None:
            if new.digest != self._tls.credentials.digest:
                changed.append("tls")
                told["certificate_sha256"] = new.certificate.sha256
                self._tls.credentials = new
            warn_of_certificate(self._log.warning, new, self._wall_ms())
        if not _differs(before, after, "log"):
            self._log.info("reloaded", changed=changed, **told)
            return
        # Said while either the old or the new levels let it through.
        tell = partial(self._log.info, "reloaded", changed=[*changed, "log"], log=str(after.log), **told)
        if self._log.enabled(INFO):
            tell()
            self._set_levels(after.log)
        else:
            self._set_levels(after.log)
            tell()


def warn_of_certificate(warn: Callable[..., None], credentials: Credentials, now_ms: int) -> None:
    """Tells of a certificate that clients will refuse; it is used all the same."""
    warning = credentials.warning(now_ms)
    if warning is not None:
        warn("certificate_not_valid", detail=warning, file=str(credentials.files.cert))


def _differs(before: Settings, after: Settings, name: str) -> bool:
    return bool(getattr(before, name) != getattr(after, name))
