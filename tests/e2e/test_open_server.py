"""A server without credentials, as web pages, containers and programs of its machine meet it."""

from __future__ import annotations

from pathlib import Path

from .server_process import data_of, error_of, serving


def test_a_page_of_another_site_cancels_no_job(tmp_path: Path) -> None:
    with serving(tmp_path) as server, server.client() as http:
        data_of(http.post("/v1/jobs/run", json={"thread_id": "t"}))
        for fields in ({"origin": "https://evil.example"}, {"sec-fetch-site": "cross-site"}):
            # An empty body: a browser asks nobody before it sends that.
            refused = http.post("/v1/jobs/t/cancel", headers=fields)
            assert error_of(refused) == (403, "forbidden", {"reason": "foreign_origin"})
            preflight = http.options("/v1/jobs/t/cancel", headers=fields | {"access-control-request-method": "POST"})
            assert preflight.status_code == 405
            assert not [name for name in preflight.headers if name.startswith("access-control")]
        assert data_of(http.get("/v1/jobs/t"))["status"] == "queued"
        assert data_of(http.post("/v1/jobs/t/cancel"))["status"] == "cancelled"


def test_a_container_that_allows_insecure_answers_to_its_name_and_to_no_page(tmp_path: Path) -> None:
    compose = {"host": "oris:8080"}
    with serving(tmp_path, ORIS_ALLOW_INSECURE="true") as server, server.client(headers=compose) as http:
        data_of(http.post("/v1/jobs/run", json={"thread_id": "t"}))
        refused = http.post("/v1/jobs/t/cancel", headers={"origin": "http://evil.example"})
        assert error_of(refused) == (403, "forbidden", {"reason": "foreign_origin"})
    with serving(tmp_path) as server, server.client(headers=compose) as http:
        assert error_of(http.get("/v1/jobs/t")) == (403, "forbidden", {"reason": "foreign_host"})
