"""The end of the demo's worker, as far as it can be told without signals."""

from __future__ import annotations

import pytest

from oris.demo.stop import Stop, Stopped


def test_where_it_waits_it_ends_at_once() -> None:
    stop = Stop()
    with pytest.raises(Stopped), stop.interrupts():
        stop.ask()


def test_elsewhere_it_goes_on_to_where_it_waits_next() -> None:
    stop = Stop()
    with stop.interrupts():
        pass
    stop.ask()
    assert stop.asked
    with pytest.raises(Stopped), stop.interrupts():
        pytest.fail("nothing is begun any more")


def test_asked_twice_it_ends_wherever_it_is() -> None:
    stop = Stop()
    stop.ask()
    with pytest.raises(SystemExit):
        stop.ask()
