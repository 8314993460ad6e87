"""`python -m oris simulate`: run seeds of the simulator."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from oris.sim import Outcome
    from oris.sim.outcome import Summary


@click.command()
@click.option("--seed", type=click.IntRange(min=0), help="Run only this seed.")
@click.option("--seeds", type=click.IntRange(min=1), help="How many seeds to run. Default: 100.")
@click.option("--first", type=click.IntRange(min=0), default=0, show_default=True, help="The first seed of --seeds.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document, for programs.")
def simulate(seed: int | None, seeds: int | None, first: int, as_json: bool) -> int:
    """Run the real engine under simulated faults. The exit code is 1 if an invariant is violated."""
    if seed is not None and (seeds is not None or first):
        raise click.UsageError("give either --seed, or --seeds and --first")
    from oris.sim.outcome import summary

    chosen = [seed] if seed is not None else list(range(first, first + (seeds or 100)))
    total = summary(_run(chosen))
    click.echo(_json(total) if as_json else _text(total, chosen))
    return 1 if total.failed else 0


def _run(chosen: list[int]) -> Iterator[Outcome]:
    """One seed after the other; the progress is for a terminal only."""
    from oris.sim import simulate as simulate_one

    shown = sys.stderr.isatty() and len(chosen) > 1
    for number, seed in enumerate(chosen, 1):
        yield simulate_one(seed)
        if shown:
            click.echo(f"\r{number} of {len(chosen)} seeds", nl=number == len(chosen), err=True)


def _json(total: Summary) -> str:
    import msgspec

    failed = [{**msgspec.to_builtins(one), "command": one.command} for one in total.failed]
    return msgspec.json.encode({**msgspec.to_builtins(total), "failed": failed}).decode()


def _text(total: Summary, chosen: list[int]) -> str:
    named = f"seed {chosen[0]}" if len(chosen) == 1 else f"seeds {chosen[0]} to {chosen[-1]}"
    lines = [
        f"{named}: {total.virtual_s:.0f} virtual seconds, {total.commits} commits, {total.runs} runs, "
        f"{total.restarts} server restarts",
        "trace " + total.trace_hash,
        "faults: " + _counts(total.faults),
        "sometimes: " + _counts(total.sometimes),
    ]
    for one in total.failed:
        lines.append(f"VIOLATED by seed {one.seed}; repeat it with: {one.command}")
        lines += [f"  {v.rule} {v.where}: {v.what}" for v in one.violations]
    lines.append(
        f"{len(total.failed)} of {total.seeds} seeds violate an invariant" if total.failed else "all invariants hold"
    )
    return "\n".join(lines)


def _counts(counted: dict[str, int]) -> str:
    return ", ".join(f"{name} {number}" for name, number in counted.items()) or "none"
