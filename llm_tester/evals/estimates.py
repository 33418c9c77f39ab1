"""What a prepared run would ask, cost and take: by stored answers where there are any, else by named assumptions."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from llm_tester.catalogue import RateLimits
from llm_tester.cost_manager import cost_of, usd_text
from llm_tester.evals.ledger import Ledger
from llm_tester.evals.planning import TaskPlan, planned_samples
from llm_tester.evals.preparing import PreparedRun
from llm_tester.evals.run_records import PlannedEntrant
from llm_tester.llms.bounds import CAP_NAMES
from llm_tester.llms.limiter import ANSWER_TOKENS
from llm_tester.llms.token_counts import estimated
from llm_tester.records import Request, UsageData

_HISTORY = """
SELECT count(*) AS answers, avg(a.usage ->> 'input') AS input, avg(a.usage ->> 'output') AS output,
       avg(a.latency_ms) AS latency
FROM answers a JOIN calls c USING (call) JOIN entrants e USING (entrant)
JOIN plan p ON p.run = c.run AND p.position = c.position AND p.variant = e.variant
JOIN tasks t ON t.task = p.task
WHERE t.name = ? AND e.provider = ? AND e.model = ? AND c.purpose = 'sample' AND a.cached_from IS NULL
  AND a.inconsistent IS NULL AND a.usage ->> 'input' IS NOT NULL AND a.usage ->> 'output' IS NOT NULL
"""


@dataclass(frozen=True, slots=True)
class History:
    """Means over the stored answers of a model to a task: tokens in and out, milliseconds (None: not measured)."""

    answers: int
    input: float
    output: float
    latency: float | None


@dataclass(frozen=True, slots=True)
class Estimate:
    """One entrant on one task. None is unknown: `likely` and `at_most` in USD, `minutes`, which is a lower bound
    unless `timed`; `basis` says where the tokens come from."""

    task: str
    entrant: str
    model: str
    simulated: bool
    calls: int
    input: int
    output: int
    basis: str
    likely: Decimal | None
    at_most: Decimal | None
    minutes: float | None
    timed: bool

    def to_json(self) -> dict[str, Any]:
        """The row as `plan --json` prints it."""
        return {
            "task": self.task,
            "entrant": self.entrant,
            "model": self.model,
            "simulated": self.simulated,
            "calls": self.calls,
            "tokens": {"input": self.input, "output": self.output},
            "basis": self.basis,
            "likely_usd": None if self.likely is None else usd_text(self.likely),
            "at_most_usd": None if self.at_most is None else usd_text(self.at_most),
            "minutes": None if self.minutes is None else round(self.minutes, 3),
            "minutes_at_least": self.minutes is not None and not self.timed,
        }


def estimates(prepared: PreparedRun) -> list[Estimate]:
    """A row per task and entrant; reads the ledger where there is one."""
    path = prepared.workspace.ledger_path
    pairs = [(plan, entry) for plan in prepared.plans for entry in prepared.entrants]
    if not path.is_file():
        return [_estimate(prepared, plan, entry, None) for plan, entry in pairs]
    with Ledger(path) as ledger:
        return [_estimate(prepared, plan, entry, _history(ledger, plan, entry)) for plan, entry in pairs]


def _history(ledger: Ledger, plan: TaskPlan, entry: PlannedEntrant) -> History | None:
    values = (plan.task.name, entry.entrant.provider, entry.entrant.model)
    row = next(ledger.store.read(_HISTORY, values))
    return History(row["answers"], row["input"], row["output"], row["latency"]) if row["answers"] else None


def _estimate(prepared: PreparedRun, plan: TaskPlan, entry: PlannedEntrant, history: History | None) -> Estimate:
    calls, read, answered = 0, 0, 0
    for planned in planned_samples(plan):
        if planned.variant == entry.entrant.prompt:
            request, times = prepared.request(plan.task, planned, entry), prepared.times(planned, entry)
            calls += times
            read += times * _input(request)
            answered += times * _output(request)
    if history is not None:
        read, answered = math.ceil(calls * history.input), math.ceil(calls * history.output)
    minutes, timed = _minutes(prepared, entry, calls, read + answered, history)
    return Estimate(
        plan.task.name,
        entry.entrant.name,
        entry.entrant.full_model,
        entry.simulated,
        calls,
        read,
        answered,
        _basis(history),
        _likely(entry, calls, read, answered),
        prepared.at_most_of(entry, plan),
        minutes,
        timed,
    )


def _basis(history: History | None) -> str:
    if history is None:
        return f"assumed: a token per 4 letters, {ANSWER_TOKENS} or max_tokens per answer"
    return f"{history.answers} stored answer{'s' * (history.answers != 1)}"


def _input(request: Request) -> int:
    schema = "" if request.output_schema is None else json.dumps(dict(request.output_schema), ensure_ascii=False)
    return estimated(schema) + sum(estimated(message.content) for message in request.messages)


def _output(request: Request) -> int:
    caps = [value for name in CAP_NAMES if isinstance(value := request.parameters.get(name), int)]
    return min([ANSWER_TOKENS, *caps])


def _likely(entry: PlannedEntrant, calls: int, read: int, answered: int) -> Decimal | None:
    if entry.simulated or not calls:
        return Decimal(0)
    # A request's tier goes by its own input, so an average call is priced.
    mean = UsageData(prompt_tokens=math.ceil(read / calls), completion_tokens=math.ceil(answered / calls))
    # Of a chain the first one answers, unless it cannot.
    cost = cost_of(mean, entry.link_rates[0])
    return cost.known * calls if cost.complete else None


def _minutes(
    prepared: PreparedRun, entry: PlannedEntrant, calls: int, tokens: int, history: History | None
) -> tuple[float | None, bool]:
    """Minutes at the least by what is known, and whether the answers' own time is known too."""
    if entry.simulated:
        return 0.0, True
    provider = prepared.registry.get(entry.entrant.provider)
    limits = provider.model_entry(entry.entrant.model).rate_limits or provider.config.rate_limits or RateLimits()
    given = prepared.options.max_connections or prepared.workspace.settings.run.max_connections
    bounds: Mapping[str, float | None] = {
        "requests": limits.requests_per_minute and calls / limits.requests_per_minute,
        "tokens": limits.tokens_per_minute and tokens / limits.tokens_per_minute,
    }
    known = [bound for bound in bounds.values() if bound is not None]
    timed = history is not None and history.latency is not None
    if history is not None and history.latency is not None:
        in_turn = math.ceil(calls / (given or provider.config.max_connections))
        known.append(in_turn * history.latency / 60_000)
    return (max(known) if known else None), timed
