"""What was accepted, by what it means: the same again, in whatever bytes, may not be refused as something else."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import msgspec

from oris.core import commands as c
from oris.core.replies import Refusal, Reply, Reported, Settled, Submitted
from oris.ids import idempotency_key
from oris.sim.judge import Judge


def meaning(text: bytes | None) -> Any:
    """What a value says, as a reader has it that knows nothing of how it was written."""
    return None if text is None else msgspec.json.decode(text)


def meaning_of_end(command: c.Ack) -> Any:
    """What an ack sends with it; of an error the fields that are given, for null in one means that it is not."""
    said = meaning(command.body)
    if command.terminal_status != "failed" or not isinstance(said, dict):
        return said
    return {name: value for name, value in said.items() if value is not None}


class Repeats:
    """Submits under a key (I9), steps under a token (I10) and answers to questions (I24), over all starts of the
    server. What closes a lease is the business of `AnswerCheck`.
    """

    def __init__(self, judge: Judge) -> None:
        self._judge = judge
        self._said: dict[Hashable, object] = {}

    def answered(self, command: c.Command, reply: Reply) -> None:
        """Is shown each command with its answer."""
        match command:
            case c.Submit() if command.idempotency_key is not None:
                name = idempotency_key(command.tenant_id, command.idempotency_key)
                accepted = isinstance(reply, Submitted) and not reply.replay
                self._judged("I9", "idempotency_mismatch", ("key", name), _said(command), reply, first=accepted)
            case c.ReportStep():
                step = ("step", command.attempt_id, command.action_id, command.status, command.token)
                said = (meaning(command.body), meaning(command.checkpoint))
                accepted = isinstance(reply, Reported) and reply.status == "reported"
                self._judged("I10", "dedupe_mismatch", step, said, reply, first=accepted)
            case c.Resume() | c.ResumeThread():
                self._resumed(command, reply)
            case _:
                pass

    def _resumed(self, command: c.Resume | c.ResumeThread, reply: Reply) -> None:
        said = meaning(command.value)
        if isinstance(reply, Settled):
            self._said.setdefault(("wait", reply.wait.wait_id), said)
        elif isinstance(reply, Refusal):
            wait = ("wait", (reply.details or {}).get("interrupt_id"))
            self._judged("I24", "resume_mismatch", wait, said, reply, first=False)

    def _judged(self, rule: str, word: str, name: Hashable, said: object, reply: Reply, *, first: bool) -> None:
        if first:
            self._said[name] = said
        elif isinstance(reply, Refusal) and (reply.details or {}).get("reason") == word and name in self._said:
            self._judge.require(self._said[name] != said, rule, str(name), f"the same again was refused: {word}")


def _said(command: c.Submit) -> object:
    return (
        command.thread_id,
        command.workflow,
        command.priority,
        meaning(command.input),
        (command.timeout_ms, command.on_timeout, command.retry_policy),
        (command.delay_ms, command.run_at_ms, command.metadata),
    )
