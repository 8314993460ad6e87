"""Found in the review of issue 3: this fails."""

from __future__ import annotations

from pathlib import Path

from .calls import lease_of
from .server_process import data_of, serving


def test_a_repeated_ack_that_fetches_gets_its_first_answer_though_its_session_is_over(tmp_path: Path) -> None:
    """I13: whatever has happened since. Without `poll` the same ack is answered so."""
    with serving(tmp_path) as server, server.client() as http:
        data_of(http.post("/v1/jobs", json={"thread_id": "a"}))
        polled = data_of(http.post("/v1/workers/poll", json={"worker_id": "w", "session": "s1"}))
        (attempt,) = polled["attempts"]
        ack = {**lease_of(attempt), "terminal_status": "completed", "poll": {"session": "s1"}}
        first = data_of(http.post("/v1/workers/w/ack", json=ack))
        data_of(http.post("/v1/workers/poll", json={"worker_id": "w", "session": "s2"}))
        again = http.post("/v1/workers/w/ack", json=ack)
        assert again.status_code == 200, again.text
        assert data_of(again)["status"] == first["status"]
