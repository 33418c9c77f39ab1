"""llm-tester reprice"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, time
from decimal import Decimal
from typing import Annotated

import typer

from llm_tester.catalogue import ModelEntry
from llm_tester.cli.console import JsonOption, RunArgument, WorkspaceOption, out, print_json, single, workspace
from llm_tester.cost_manager import REPORTED, UNPRICED, Rates, usd_text
from llm_tester.evals.ledger import Ledger
from llm_tester.evals.repricing import save_prices
from llm_tester.evals.run_records import EntrantRecord
from llm_tester.evals.spending import spending
from llm_tester.llms.price_sources import resolve_rates
from llm_tester.llms.provider_factory import DiscoveredProvider, discover
from llm_tester.reporting.money import Amount
from llm_tester.reporting.repricing import Repriced
from llm_tester.reporting.repricing import reprice as repriced
from llm_tester.reporting.tables import listing, safe

app = single()


@app.command()
def reprice(
    run: RunArgument,
    day: Annotated[
        datetime | None,
        typer.Option("--at", formats=["%Y-%m-%d"], metavar="DATE", help="Prices of that day, not today."),
    ] = None,
    save: Annotated[
        bool, typer.Option("--save", help="Keep the new prices: the run's costs and the bill are written anew.")
    ] = False,
    as_json: JsonOption = False,
    named: WorkspaceOption = None,
) -> None:
    """Show what a run would cost at the catalogue's prices of today or another day; keep that with --save."""
    here = workspace(named)
    moment = datetime.combine(day.date(), time(12), UTC) if day else datetime.now(UTC)
    with Ledger.existing(here.ledger_path) as opened:
        record = opened.run(run)
        entrants = opened.entrants(record)
        rates = _rates(entrants, discover(here), moment)
        rows = repriced(spending(opened, record), entrants, rates)
        saved = save_prices(opened, record, rates) if save else []
    if as_json:
        print_json(
            {
                "run": record.id,
                "at": moment.date().isoformat(),
                "models": [row.to_json() for row in rows],
                "saved": saved,
            }
        )
        return
    screen = out()
    heads = ("Entrant", "Cost then", "Priced", f"Cost at {moment:%Y-%m-%d}", "Priced", "Change")
    screen.print(listing(heads, map(_cells, rows)))
    chains = [row.entrant.entrant.name for row in rows if row.entrant.links]
    if chains:
        screen.print(
            safe(f"Not priced anew: {', '.join(chains)}. The answers of a chain have the prices of their models.")
        )
    gone = [row.entrant.entrant.name for row in rows if not (row.rates.known or row.entrant.links)]
    if gone:
        screen.print(safe(f"Without a price in the catalogue: {', '.join(gone)}."))
    if save:
        screen.print(safe(f"Saved for {', '.join(saved)}." if saved else "Nothing to save: no price changed."))


def _rates(
    entrants: Iterable[EntrantRecord], found: Mapping[str, DiscoveredProvider], moment: datetime
) -> dict[str, Rates]:
    """The rates of each entrant at a moment; unknown for a provider that is no longer there."""
    rates = {}
    for entry in entrants:
        provider = found.get(entry.entrant.provider)
        config = provider.config if provider is not None else None
        model = entry.entrant.model
        listed = config and (config.model(model) or ModelEntry(name=model))
        rates[entry.entrant.name] = resolve_rates(config, listed, moment) if config and listed else UNPRICED
    return rates


def _cells(row: Repriced) -> tuple[str, ...]:
    change = row.change
    told = "–" if change is None else f"{change * Decimal(100):+.1f} %"
    return (
        row.entrant.entrant.name,
        _amount(row.old),
        _priced(row.old_source, row.entrant.rates),
        _amount(row.new),
        _priced(row.new_source, row.rates),
        told,
    )


def _amount(amount: Amount) -> str:
    if amount.known is None or (amount.unknown_calls and not amount.known):
        return "unknown"
    if amount.unknown_calls:
        return f"≥ ${usd_text(amount.known)} ({amount.unknown_calls:,} unknown)"
    return f"${usd_text(amount.known)}"


def _priced(source: str, rates: Rates) -> str:
    return "reported" if source == REPORTED else f"{source} {rates.priced_on or ''}".strip()
