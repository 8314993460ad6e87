"""The demo from its first process to its last."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from oris.demo.corpus import DocumentFile, documents
from oris.demo.http_client import Api, CallError, Json
from oris.demo.processes import DemoFailed, Process, Processes, ending_on_signals, wait_for
from oris.demo.proof import Effect, Proof, prove, read_journal
from oris.demo.screen import Screen
from oris.demo.steps import STEPS
from oris.demo.timelines import Event, held_by, record_of, timeline

LEASE_TTL_S = 2
PAUSE_MS = 8
LIMIT_S = 60.0
VICTIM = "worker-1"
HEIR = "worker-2"
KILL_AFTER_PART = 0.3
"""The victim is killed when so much is indexed."""


def run_demo(folder: Path, screen: Screen) -> int:
    """Show it all, with files in `folder`; the exit code. Ctrl-C raises KeyboardInterrupt, with all children gone."""
    try:
        with ending_on_signals(), Processes(folder) as processes:
            _show(folder, processes, screen)
    except (DemoFailed, CallError, OSError) as error:
        screen.say(f"\nThe demo failed: {error}\nThe logs are in {folder}", style="red")
        return 1
    return 0


def _show(folder: Path, processes: Processes, screen: Screen) -> None:
    corpus = documents()
    database, journal = folder / "oris.db", folder / "effects.jsonl"
    started_s = time.monotonic()
    server, address = processes.start_server(database)
    screen.say(f"A server on {address}, with its database in {folder}")
    api = Api(address)
    _submit(api, corpus)
    screen.say(f"{len(corpus)} documents submitted as durable jobs, in one batch")
    victim, heir = (_start_worker(processes, name, address, journal) for name in (VICTIM, HEIR))
    screen.say(f"{VICTIM} and {HEIR} poll for work; a lease ends after {LEASE_TTL_S} s without a heartbeat")
    _index(api, [server, heir], victim, journal, len(corpus), screen)
    records = [record_of(api, document.thread_id) for document in corpus]
    effects = read_journal(journal)
    proof = prove(records, effects)
    _end(heir, server)
    screen.report(records, effects, proof, time.monotonic() - started_s)
    _judge(proof, victim)
    screen.look_further(database, proof.takeovers[0].thread_id)


def _submit(api: Api, corpus: list[DocumentFile]) -> None:
    jobs: list[Json] = [
        {
            "thread_id": document.thread_id,
            "input": {"path": str(document.path)},
            "workflow": "index",
            # Were the answer lost, the repeat would find these jobs instead of submitting them again.
            "idempotency_key": document.thread_id,
        }
        for document in corpus
    ]
    results = api.post("/v1/jobs/batch", {"jobs": jobs})["results"]
    refused = [result["error"] for result in results if "ok" not in result]
    if refused:
        raise DemoFailed(f"{len(refused)} jobs were refused: {refused[0]}")


def _start_worker(processes: Processes, name: str, address: str, journal: Path) -> Process:
    flags = ["--server", address, "--worker-id", name, "--journal", str(journal)]
    limits = ["--lease-ttl-seconds", str(LEASE_TTL_S), "--pause-ms", str(PAUSE_MS)]
    return processes.start(name, ["oris.demo.worker", *flags, *limits])


def _index(api: Api, needed: list[Process], victim: Process, journal: Path, total: int, screen: Screen) -> None:
    """Let the workers work, kill the victim on the way, and wait until all is indexed."""
    with screen.progress(total) as show:

        def are_stored(count: int) -> Callable[[], bool]:
            def look() -> bool:
                for process in needed:
                    process.check()
                effects = read_journal(journal)
                show(effects)
                return _stored(effects) >= count

            return look

        wait_for(are_stored(max(1, int(total * KILL_AFTER_PART))), LIMIT_S, "the first documents")
        thread_id, steps = kill_in_mid_job(api, victim)
        screen.say(
            f"kill -9 {VICTIM}, in the middle of {thread_id}: {steps} of {len(STEPS)} steps recorded", "bold red"
        )
        wait_for(are_stored(total), LIMIT_S, "the index of all documents")


def kill_in_mid_job(api: Api, victim: Process) -> tuple[str, int]:
    """`kill -9` for the victim while it has a job with some steps recorded and others not; which job, and how many.

    Frozen it can be looked at: when it happens to stand elsewhere it goes on, and is caught a moment later.
    """
    caught: list[tuple[str, int]] = []

    def is_caught() -> bool:
        victim.check()
        victim.freeze()
        found = _in_mid_job(api)
        if found is None:
            victim.thaw()
            return False
        victim.kill()
        caught.append(found)
        return True

    wait_for(is_caught, LIMIT_S, f"{VICTIM} to begin a job")
    return caught[0]


def _in_mid_job(api: Api) -> tuple[str, int] | None:
    """The job of the frozen victim and its recorded steps, if some but not all are; None elsewhere."""
    thread_id = held_by(api, VICTIM)
    if thread_id is None:
        return None
    events = _settled(api, thread_id)
    steps = sum(event.event_type == "step_recorded" for event in events)
    is_running = events[-1].event_type in ("lease_granted", "step_recorded")
    return (thread_id, steps) if is_running and 0 < steps < len(STEPS) else None


def _settled(api: Api, thread_id: str) -> tuple[Event, ...]:
    """The timeline once it stands still: what the victim had sent before it was frozen may yet arrive."""
    events = timeline(api, thread_id)

    def is_same() -> bool:
        nonlocal events
        before, events = events, timeline(api, thread_id)
        return len(before) == len(events)

    time.sleep(0.05)
    wait_for(is_same, LIMIT_S, "the last event of the frozen worker's job")
    return events


def _stored(effects: list[Effect]) -> int:
    return len({effect.thread_id for effect in effects if effect.step == STEPS[-1][0]})


def _end(heir: Process, server: Process) -> None:
    """The server is asked to drain, and must say that it did."""
    heir.end()
    code = server.end()
    if code != 0:
        raise DemoFailed(f"the server ended with {code}")


def _judge(proof: Proof, victim: Process) -> None:
    """Raises DemoFailed if anything does not hold."""
    wrong = list(proof.violations)
    if not any(takeover.lost_by == VICTIM and takeover.taken_by == HEIR for takeover in proof.takeovers):
        wrong.append(f"{HEIR} has taken over no job of {VICTIM}")
    if victim.exit_code != -9:
        wrong.append(f"{VICTIM} was not killed: it ended with {victim.exit_code}")
    if wrong:
        raise DemoFailed("the demo found these errors:\n  " + "\n  ".join(wrong))
