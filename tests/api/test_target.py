"""The targets that a request's first line may have."""

from __future__ import annotations

import pytest

from oris.api.target import origin_form


@pytest.mark.parametrize(
    ("target", "path", "host"),
    [
        (b"/v1/jobs?limit=1", b"/v1/jobs?limit=1", b"said"),
        (b"http://meant:80/v1/jobs?limit=1", b"/v1/jobs?limit=1", b"meant:80"),
        (b"HTTPS://meant", b"/", b"meant"),
        (b"http://meant?a=1", b"/?a=1", b"meant"),
        (b"http:///healthz", b"http:///healthz", b"said"),
        (b"ftp://meant/healthz", b"ftp://meant/healthz", b"said"),
        (b"*", b"*", b"said"),
    ],
)
def test_an_absolute_target_with_a_host_counts_instead_of_the_host_field(
    target: bytes, path: bytes, host: bytes
) -> None:
    assert origin_form(target, [(b"host", b"said"), (b"a", b"b")]) == (path, [(b"host", host), (b"a", b"b")])
