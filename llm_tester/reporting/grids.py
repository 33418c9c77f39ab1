"""The tables of money, the same in HTML and in Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from llm_tester.cost_manager import MILLION, Rates, usd_text
from llm_tester.evals.run_records import EntrantRecord
from llm_tester.evals.samples import Outcome
from llm_tester.evals.summary import Standing
from llm_tester.records import TOKEN_CLASSES
from llm_tester.reporting.money import Amount, ClassTally, Money, Projection
from llm_tester.reporting.phrases import coverage_text, interval_text, latency_text, score_text
from llm_tester.reporting.report import Report, TaskReport
from llm_tester.reporting.text import counted, dollars

UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Row:
    """Cells of a table; `share`, 0 to 1, is drawn as a bar below the last cell, `shares` below each, and a `total`
    row closes a group."""

    cells: tuple[str, ...]
    share: float | None = None
    total: bool = False
    shares: tuple[float | None, ...] = ()

    @property
    def bars(self) -> tuple[float | None, ...]:
        """The bar of each cell, where it has one."""
        return self.shares or (*(None for _ in self.cells[1:]), self.share)


@dataclass(frozen=True, slots=True)
class Grid:
    """A table: its title, a word on how to read it, heads, rows, and how many columns from the left are text."""

    title: str
    head: tuple[str, ...]
    rows: Sequence[Row]
    note: str = ""
    words: int = 1
    kind: str = ""


def amount_text(amount: Amount | None) -> str:
    """An amount for people; what is unknown is never told as 0."""
    if amount is None:
        return "–"
    if amount.exact:
        return dollars(amount.known)
    bound = "no bound" if amount.at_most is None else f"at most {dollars(amount.at_most)}"
    calls = f"{amount.unknown_calls:,} unknown"
    if amount.known is None or not amount.known:
        return f"unknown ({counted(amount.unknown_calls, 'call')}, {bound})"
    return f"≥ {dollars(amount.known)} ({calls}, {bound})"


def range_text(amount: Amount | None) -> str:
    """An amount in a few characters: what is known, and its bound."""
    if amount is None:
        return "–"
    if amount.exact:
        return dollars(amount.known)
    bound = "" if amount.at_most is None else f", at most {dollars(amount.at_most)}"
    return f"≥ {dollars(amount.known)}{bound}" if amount.known else f"{UNKNOWN}{bound}"


def exact_text(amount: Amount) -> str:
    """An amount to the last digit."""
    if amount.known is None:
        return UNKNOWN
    if amount.unknown_calls and not amount.known:
        return UNKNOWN
    return f"{'≥ ' if amount.unknown_calls else ''}{usd_text(amount.known)}"


def leaderboard_grid(report: Report, task: TaskReport) -> Grid:
    """Who is best and at what cost."""
    head = (
        *("Rank", "Entrant", "Score", "95 % interval", "Cost per sample", "Cost per correct answer", "Total cost"),
        *("Without cache discount", "Scored", "Latency p50 / p95"),
    )
    rows = []
    for rank, standing in enumerate(task.standings, 1):
        money = report.money_of(standing)
        cells = (
            str(rank) if standing.scored else "–",
            standing.entrant if report.simulated else named(standing),
            score_text(standing),
            interval_text(standing) or "–",
            range_text(money.per(asked(standing))),
            range_text(money.per(standing.outcomes[Outcome.CORRECT])),
            amount_text(money.total.amount if money.total.calls else None),
            range_text(money.undiscounted.amount if money.total.calls else None),
            coverage_text(standing),
            latency_text(standing),
        )
        rows.append(Row(cells))
    return Grid("Leaderboard", head, rows, words=2, kind="board")


def class_grid(report: Report, task: TaskReport) -> Grid:
    """What each class of tokens cost."""
    rows: list[Row] = []
    for standing in task.standings:
        money = report.money_of(standing)
        whole = sum((tally.usd for tally in money.by_class.values()), Decimal(0))
        for name, tally in sorted(money.by_class.items(), key=lambda item: _place(item[0])):
            cells = (standing.entrant, name.replace("_", " "), f"{tally.tokens:,}", _rate(name, tally, money.rates))
            rows.append(Row((*cells, _class_usd(tally)), float(tally.usd / whole) if whole else None))
        amount = money.total.amount
        tokens = sum(tally.tokens for name, tally in money.by_class.items() if name != "request")
        rows.append(Row((standing.entrant, "all", f"{tokens:,}", "", exact_text(amount)), total=True))
    note = "USD to the last digit; an answer of unknown usage has no line here."
    return Grid("Cost by token class", ("Entrant", "Class", "Tokens", "USD per 1M", "USD"), rows, note, 2)


def outcome_grid(report: Report, task: TaskReport) -> Grid:
    """What right, wrong and undelivered answers cost."""
    rows: list[Row] = []
    for standing in task.standings:
        money = report.money_of(standing)
        for outcome in (found for found in Outcome if found in money.by_outcome):
            tally = money.by_outcome[outcome]
            share = float(tally.known / money.total.known) if money.total.known else None
            each = amount_text(tally.amount.times(Decimal(1) / tally.calls))
            word = outcome.value.replace("_", " ")
            rows.append(Row((standing.entrant, word, f"{tally.calls:,}", exact_text(tally.amount), each), share))
        total = (standing.entrant, "all", f"{money.total.calls:,}", exact_text(money.total.amount), retry_text(money))
        rows.append(Row(total, total=True))
    head = ("Entrant", "Outcome", "Calls", "USD", "Per call")
    note = "A retry repeats an attempt that failed; what such an attempt cost is no part of the sum."
    return Grid("Cost by outcome", head, rows, note, 2)


def retry_text(money: Money) -> str:
    """The retries of an entrant, and what is not known of their cost."""
    found = money.retries
    if not found.count:
        return ""
    retries = f"{found.count:,} {'retry' if found.count == 1 else 'retries'}"
    known = f", {dollars(found.known)} beside the answers" if found.known else ""
    return f"{retries}{known}" + (f", {found.unknown:,} of unknown cost" if found.unknown else "")


def projection_grid(report: Report, task: TaskReport) -> Grid:
    """What more samples like these would cost."""
    rows = []
    for standing in task.standings:
        projected = report.money_of(standing).projections(asked(standing))
        if projected:
            rows.append(Row((standing.entrant, *(projection_text(each) for each in projected))))
    note = "From the mean cost of a sample; in brackets its 95 % interval (Student's t), for samples like these."
    head = ("Entrant", "1,000 samples", "10,000", "100,000", "1,000,000")
    return Grid("Projected cost", head, rows, note, kind="projection")


def projection_text(projection: Projection) -> str:
    """A projection with its interval or bound."""
    amount = projection.amount
    if projection.interval is not None:
        low, high = projection.interval
        return f"{dollars(amount.known)} ({dollars(low)}–{dollars(high)})"
    return range_text(amount)


def price_grid(entrants: Sequence[EntrantRecord]) -> Grid:
    """The rates that the run was priced at."""
    rows = []
    for entrant in entrants:
        own = entrant.entrant.name
        names = [f"{own}, by {link.name}" for link in entrant.links] or [own]
        for name, rates in zip(names, entrant.link_rates, strict=True):
            told = (rates.source, rates.priced_on or "–", entrant.host or "in this process")
            rows.append(Row((name, "all", rates_text(rates), *told)))
            rows += [Row((name, when, text, *told)) for when, text in _further(rates)]
    head = ("Entrant", "Holds", "USD per 1M tokens", "Source", "Priced on", "Host")
    return Grid("Prices used", head, rows, words=6)


def rates_text(rates: Rates) -> str:
    """Rates by token class."""
    parts = [f"{name.replace('_', ' ')} {usd_text(rate)}" for name, rate in rates.by_class.items()]
    if rates.per_request:
        parts.append(f"and {usd_text(rates.per_request)} USD per request")
    return ", ".join(parts) or UNKNOWN


def _further(rates: Rates, prefix: str = "") -> list[tuple[str, str]]:
    found = [
        (f"{prefix}input above {tier.above:,} tokens", rates_text(Rates(tier.by_class, rates.per_request)))
        for tier in rates.tiers
    ]
    for span in rates.spans:
        when = f"{span.begin:%H:%M}–{span.until:%H:%M} UTC"
        found += [(when, rates_text(span.rates)), *_further(span.rates, f"{when}, ")]
    return found


def named(standing: Standing) -> str:
    """The entrant, marked where it is simulated."""
    return standing.entrant + (" (simulated)" if standing.simulated else "")


def asked(standing: Standing) -> int:
    """How many samples were sent to the entrant."""
    return standing.planned - standing.outcomes[Outcome.NOT_RUN]


def _place(token_class: str) -> int:
    return TOKEN_CLASSES.index(token_class) if token_class in TOKEN_CLASSES else len(TOKEN_CLASSES)


def _rate(name: str, tally: ClassTally, rates: Rates) -> str:
    if name == "reported":
        return "as the provider says"
    if not tally.priced:
        return UNKNOWN
    rate = rates.per_request * MILLION if name == "request" else rates.by_class.get(name)
    if rate is not None and tally.usd * MILLION == rate * tally.tokens:
        return f"{usd_text(rates.per_request)} each" if name == "request" else usd_text(rate)
    return "several"


def _class_usd(tally: ClassTally) -> str:
    if not tally.priced:
        return UNKNOWN
    return f"{'≥ ' if tally.unpriced else ''}{usd_text(tally.usd)}"
