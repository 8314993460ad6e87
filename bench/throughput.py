"""How much goes through: requests against the echo route, pairs of poll and ack, jobs from end to end."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median

from bench.jobs import Tally, batches, echoes, fill, pairs, runs, submits, work
from bench.measure import CONNECTIONS, Rate, Size, for_a_while, timed
from bench.servers import servers

WORKERS = 8
SUBMITTERS = 2
AT_A_TIME = 16


@dataclass(frozen=True)
class Http:
    """Requests."""

    echo: Rate
    run: Rate
    run_to_echo: float
    """The median of the rounds' ratios: each round measures both."""
    poll_ack: Rate


@dataclass(frozen=True)
class Jobs:
    """Jobs from the submit to the ack."""

    end_to_end: Rate


def http(size: Size) -> Http:
    """Echo and `run` in turns, so that what else the machine does hits both; then pairs of poll and ack."""
    with servers() as start:
        echo_server, server = start.echo(), start.oris()
        echo_rates, run_rates = [], []
        for turn in range(-1, size.rounds):
            echo = for_a_while(echo_server, [echoes() for _ in range(CONNECTIONS)], size.seconds)
            scripts = [runs(f"run-{turn}-{number}") for number in range(CONNECTIONS)]
            run = for_a_while(server, scripts, size.seconds)
            if turn >= 0:  # the round before warms up
                echo_rates.append(echo)
                run_rates.append(run)
    ratios = [run.per_second / echo.per_second for run, echo in zip(run_rates, echo_rates, strict=True)]
    return Http(Rate.median(echo_rates), Rate.median(run_rates), median(ratios), _pairs(size))


def _pairs(size: Size) -> Rate:
    each = max(1, size.pairs // CONNECTIONS)
    rates = []
    with servers() as start:
        server = start.oris()
        for turn in range(size.rounds):
            fill(server.port, f"pair-{turn}", each * CONNECTIONS)
            scripts = [pairs(f"w{number}", each) for number in range(CONNECTIONS)]
            rates.append(timed(server, scripts, each * CONNECTIONS))
    return Rate.median(rates)


def jobs(size: Size) -> Jobs:
    """Submits by the hundred, acks and polls by sixteen, all at once: from the first submit to the last ack."""
    rates = []
    with servers() as start:
        server = start.oris()
        for turn in range(size.rounds):
            requests = batches(f"job-{turn}", size.jobs)
            tally = Tally(size.jobs)
            scripts = [submits(requests) for _ in range(SUBMITTERS)]
            scripts += [work(f"w{number}", tally, AT_A_TIME) for number in range(WORKERS)]
            rates.append(timed(server, scripts, size.jobs, tally.is_done))
    return Jobs(Rate.median(rates))
