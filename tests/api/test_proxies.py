"""Whose address counts when proxies are in front."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oris.api.proxies import address_of, client_address
from oris.config.networks import Networks, parse_networks

TRUSTED = parse_networks("10.0.0.0/8, 192.0.2.1,fd00::/8")


def told(peer: str, *headers: tuple[str, str]) -> str:
    """The client's address, by these headers."""
    return client_address(peer, [(name.encode(), value.encode("latin-1")) for name, value in headers], TRUSTED)


def x(value: str) -> tuple[str, str]:
    return "x-forwarded-for", value


def f(value: str) -> tuple[str, str]:
    return "forwarded", value


@pytest.mark.parametrize(
    ("headers", "address"),
    [
        pytest.param([], "10.1.1.1", id="the proxy itself"),
        pytest.param([x("203.0.113.5")], "203.0.113.5", id="one hop"),
        pytest.param([x("198.51.100.9, 203.0.113.5")], "203.0.113.5", id="what the client wrote stands left"),
        pytest.param([x("203.0.113.5, 10.2.2.2,192.0.2.1")], "203.0.113.5", id="several trusted hops"),
        pytest.param([x("198.51.100.9"), x("203.0.113.5")], "203.0.113.5", id="the header twice"),
        pytest.param([x("10.3.3.3, 10.2.2.2")], "10.3.3.3", id="the client is inside"),
        pytest.param([x("203.0.113.5, unknown")], "10.1.1.1", id="the last hop does not know"),
        pytest.param([x("203.0.113.5, nonsense, 10.2.2.2")], "10.2.2.2", id="a hop before does not know"),
        pytest.param([x("")], "10.1.1.1", id="empty"),
        pytest.param([x("203.0.113.5:4711")], "203.0.113.5", id="with a port"),
        pytest.param([x("[2001:db8::7]:4711")], "2001:db8::7", id="IPv6 with a port"),
        pytest.param([x("2001:DB8:0::7")], "2001:db8::7", id="IPv6 in another spelling"),
        pytest.param([x("::ffff:203.0.113.5")], "203.0.113.5", id="IPv4 within IPv6"),
        pytest.param([f("for=203.0.113.5;proto=https;by=10.1.1.1")], "203.0.113.5", id="forwarded"),
        pytest.param([f('for=198.51.100.9, For="[2001:db8::7]:4711"')], "2001:db8::7", id="forwarded, quoted"),
        pytest.param([f("proto=https")], "10.1.1.1", id="forwarded without for"),
        pytest.param([f("for=_hidden")], "10.1.1.1", id="forwarded, hidden"),
        pytest.param([f("for=203.0.113.5"), x("203.0.113.5")], "203.0.113.5", id="both agree"),
        pytest.param([f("for=198.51.100.9"), x("203.0.113.5")], "10.1.1.1", id="both, and one was passed through"),
    ],
)
def test_the_right_most_address_that_is_no_trusted_proxy_counts(headers: list[tuple[str, str]], address: str) -> None:
    assert told("10.1.1.1", *headers) == address


@pytest.mark.parametrize("peer", ["203.0.113.77", "2001:db8::1"])
def test_from_anybody_else_the_headers_are_ignored(peer: str) -> None:
    assert told(peer, x("198.51.100.9"), f("for=198.51.100.9")) == peer


def test_a_peer_in_the_other_form_is_the_same_proxy() -> None:
    assert told("::ffff:10.1.1.1", x("203.0.113.5")) == "203.0.113.5"


def test_a_peer_without_an_address_is_nobody_trusted() -> None:
    assert told("", x("203.0.113.5")) == ""
    assert client_address("/run/oris.sock", [], TRUSTED) == "/run/oris.sock"


def test_nobody_is_trusted_by_default() -> None:
    assert client_address("127.0.0.1", [(b"x-forwarded-for", b"203.0.113.5")], Networks()) == "127.0.0.1"


@given(st.lists(st.tuples(st.sampled_from(["forwarded", "x-forwarded-for"]), st.text('for="[]:,;.0123afx\\% \t'))))
def test_whatever_is_written_there_an_address_comes_out(headers: list[tuple[str, str]]) -> None:
    assert address_of(told("10.1.1.1", *headers)) is not None


@given(st.text("0123456789.,: ", max_size=60))
def test_a_client_behind_an_honest_proxy_cannot_choose_its_address(written: str) -> None:
    assert told("10.1.1.1", x(f"{written}, 203.0.113.5")) == "203.0.113.5"
