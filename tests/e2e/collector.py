"""A collector of spans, as far as tests need one."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


class Collector:
    """What came in, over HTTP."""

    def __init__(self) -> None:
        self.raw: list[bytes] = []
        bodies = self.raw

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                bodies.append(self.rfile.read(int(self.headers["content-length"])))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                """Says nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    @contextmanager
    def collecting(self) -> Iterator[Collector]:
        """Answers until left."""
        thread = threading.Thread(target=self._server.serve_forever)
        thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            thread.join()
            self._server.server_close()

    def spans(self) -> list[tuple[str, Any]]:
        """All spans, each with the name of its service."""
        found = []
        for body in self.raw:
            request = ExportTraceServiceRequest.FromString(body)
            for resource in request.resource_spans:
                names = [one.value.string_value for one in resource.resource.attributes if one.key == "service.name"]
                found += [(names[0], span) for scope in resource.scope_spans for span in scope.spans]
        return found
