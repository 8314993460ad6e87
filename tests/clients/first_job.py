"""README's first job with the client that openapi-python-client generates: `first_job.py URL`. It prints what it saw.

It is run beside the generated package `oris_client`, and checked by `mypy --strict` there: each field that is used here
is typed.
"""

from __future__ import annotations

import json
import sys
from typing import TypeVar

from oris_client import AuthenticatedClient
from oris_client.api.jobs import get_job, get_result, get_timeline, run_job
from oris_client.api.workers import ack, heartbeat, poll, report_step
from oris_client.models.ack import Ack
from oris_client.models.ack_list import AckList
from oris_client.models.ack_response import AckResponse
from oris_client.models.ack_results_view import AckResultsView
from oris_client.models.ack_status import AckStatus
from oris_client.models.acked_view import AckedView
from oris_client.models.attempt_view import AttemptView
from oris_client.models.conflict import Conflict
from oris_client.models.conflict_reason import ConflictReason
from oris_client.models.event_type import EventType
from oris_client.models.get_job_response import GetJobResponse
from oris_client.models.get_result_response import GetResultResponse
from oris_client.models.get_timeline_response import GetTimelineResponse
from oris_client.models.heartbeat import Heartbeat
from oris_client.models.heartbeat_list import HeartbeatList
from oris_client.models.heartbeat_response import HeartbeatResponse
from oris_client.models.item_error import ItemError
from oris_client.models.job_request import JobRequest
from oris_client.models.lease_state import LeaseState
from oris_client.models.listed_ack import ListedAck
from oris_client.models.listed_step import ListedStep
from oris_client.models.poll_decision import PollDecision
from oris_client.models.poll_request import PollRequest
from oris_client.models.poll_response import PollResponse
from oris_client.models.report_status import ReportStatus
from oris_client.models.report_step_response import ReportStepResponse
from oris_client.models.reported_view import ReportedView
from oris_client.models.results_view_reported_view import ResultsViewReportedView
from oris_client.models.run_job_response import RunJobResponse
from oris_client.models.run_status import RunStatus
from oris_client.models.step_report import StepReport
from oris_client.models.step_report_list import StepReportList
from oris_client.models.step_status import StepStatus
from oris_client.models.terminal_status import TerminalStatus

T = TypeVar("T")
WORKER = "w1"


def expect(answer: object, kind: type[T]) -> T:
    """The answer, when it is of this kind; a refusal says why not."""
    assert isinstance(answer, kind), answer
    return answer


def submit(client: AuthenticatedClient) -> None:
    """Twice: the same key again gets the same run."""
    job = JobRequest(thread_id="invoice-17", input_={"pages": 3}, idempotency_key="invoice-17-v1")
    first = expect(run_job.sync(client=client, body=job), RunJobResponse).data
    again = expect(run_job.sync(client=client, body=job), RunJobResponse).data
    assert first.status is RunStatus.QUEUED
    assert (first.idempotent_replay, again.idempotent_replay) == (False, True)
    assert first.run_id == again.run_id


def take(client: AuthenticatedClient) -> AttemptView:
    """The one attempt that there is."""
    asked = PollRequest(worker_id=WORKER, wait_ms=20_000, lease_ttl_seconds=300, poll_id="p1")
    polled = expect(poll.sync(client=client, body=asked), PollResponse).data
    assert polled.decision is PollDecision.DISPATCHED
    (attempt,) = polled.attempts
    assert attempt.attempt_no == 1
    assert attempt.lease_expires_at.tzinfo is not None
    return attempt


def report(client: AuthenticatedClient, attempt: AttemptView) -> None:
    """One step of its own, then two in a list."""
    one = StepReport(
        attempt_id=attempt.attempt_id,
        lease_id=attempt.lease_id,
        action_id="page-1",
        status=StepStatus.SUCCEEDED,
        dedupe_token="page-1",
        output=14,
    )
    reported = expect(report_step.sync(WORKER, client=client, body=one), ReportStepResponse).data
    assert expect(reported, ReportedView).status is ReportStatus.REPORTED
    steps = [
        ListedStep(action_id=name, status=StepStatus.SUCCEEDED, dedupe_token=name, output=14)
        for name in ("page-2", "page-3")
    ]
    many = StepReportList(attempt_id=attempt.attempt_id, lease_id=attempt.lease_id, steps=steps)
    listed = expect(report_step.sync(WORKER, client=client, body=many), ReportStepResponse).data
    results = expect(listed, ResultsViewReportedView).results
    assert [item.ok.status for item in results if not isinstance(item, ItemError)] == [ReportStatus.REPORTED] * 2


def beat(client: AuthenticatedClient, attempt: AttemptView) -> None:
    """One lease, then a list of one."""
    one = expect(heartbeat.sync(WORKER, client=client, body=Heartbeat(lease_id=attempt.lease_id)), HeartbeatResponse)
    many = HeartbeatList(lease_ids=[attempt.lease_id])
    listed = expect(heartbeat.sync(WORKER, client=client, body=many), HeartbeatResponse)
    for lease in (*one.data.leases, *listed.data.leases):
        assert lease.state is LeaseState.HELD
        assert lease.lease_remaining_ms > 0


def finish(client: AuthenticatedClient, attempt: AttemptView) -> None:
    """Once, and once more in a list, which is answered the same; then another end, which is refused."""
    done = Ack(
        attempt_id=attempt.attempt_id,
        lease_id=attempt.lease_id,
        terminal_status=TerminalStatus.COMPLETED,
        result={"total": 42},
    )
    acked = expect(expect(ack.sync(WORKER, client=client, body=done), AckResponse).data, AckedView)
    assert acked.status is AckStatus.COMPLETED
    again = AckList(acks=[ListedAck(done.attempt_id, done.lease_id, done.terminal_status, done.result)])
    listed = expect(expect(ack.sync(WORKER, client=client, body=again), AckResponse).data, AckResultsView)
    assert [item.ok.status for item in listed.results if not isinstance(item, ItemError)] == [acked.status]
    done.terminal_status = TerminalStatus.CANCELLED
    refused = expect(ack.sync(WORKER, client=client, body=done), Conflict).error
    assert refused.details.reason is ConflictReason.LEASE_LOST


def look(client: AuthenticatedClient) -> dict[str, object]:
    """What everybody may see of it."""
    job = expect(get_job.sync("invoice-17", client=client), GetJobResponse).data
    result = expect(get_result.sync("invoice-17", client=client, wait_ms=1000), GetResultResponse).data
    events = expect(get_timeline.sync("invoice-17", client=client), GetTimelineResponse).data.timeline
    assert events[-1].event_type is EventType.COMPLETED
    return {
        "status": job.status.value,
        "attempt_no": job.attempt_no,
        "result": result.result,
        "events": [event.event_type.value for event in events],
    }


def main(url: str, token: str) -> None:
    """The whole of it."""
    with AuthenticatedClient(base_url=url, token=token) as client:
        submit(client)
        attempt = take(client)
        report(client, attempt)
        beat(client, attempt)
        finish(client, attempt)
        sys.stdout.write(json.dumps(look(client)))


if __name__ == "__main__":
    main(*sys.argv[1:])
