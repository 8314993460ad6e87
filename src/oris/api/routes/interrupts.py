"""The questions of runs, and the answers to them."""

from __future__ import annotations

from oris.api.handlers import interrupts
from oris.api.http import AnswerForm, Route
from oris.api.routes.roles import CLIENTS
from oris.wire import pages as p
from oris.wire import waits as i

INTERRUPT_ROUTES = (
    Route(
        "GET",
        "/v1/interrupts",
        interrupts.list_interrupts,
        CLIENTS,
        AnswerForm(p.InterruptsPage),
        query=i.InterruptsQuery,
        large_answer=True,
    ),
    Route(
        "GET",
        "/v1/interrupts/{interrupt_id}",
        interrupts.show,
        CLIENTS,
        AnswerForm(i.InterruptView),
        large_answer=True,
    ),
    Route(
        "POST",
        "/v1/interrupts/{interrupt_id}/resume",
        interrupts.resume,
        CLIENTS,
        AnswerForm(i.InterruptView, ("interrupt_settled", "resume_mismatch")),
        body=i.ResumeRequest,
        large_body=True,
        audit_action="interrupt.resume",
    ),
    Route(
        "POST",
        "/v1/interrupts/{interrupt_id}/reject",
        interrupts.reject,
        CLIENTS,
        AnswerForm(i.InterruptView, ("interrupt_settled",)),
        body=i.RejectRequest,
        audit_action="interrupt.reject",
    ),
)
