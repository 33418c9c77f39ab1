"""A run in words, the same in a terminal and in a file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from decimal import Decimal

from llm_tester.cost_manager import usd_text
from llm_tester.evals.run_budgets import BudgetState
from llm_tester.evals.run_notes import dropped_entrants, outage_of
from llm_tester.evals.run_records import UnknownCall
from llm_tester.evals.samples import Outcome
from llm_tester.evals.summary import Standing, Verdict
from llm_tester.llms.bounds import CAP_NAMES
from llm_tester.reporting.report import Report, TaskReport
from llm_tester.reporting.text import counted, dollars, milliseconds, one_line, share

MAX_CAUSE = 400


def score_text(standing: Standing) -> str:
    """The mean score; a dash where nothing was scored."""
    return "–" if standing.score is None else f"{standing.score:.3f}"


def interval_text(standing: Standing) -> str:
    """The 95 % interval of the mean score."""
    return f"{standing.interval[0]:.3f}–{standing.interval[1]:.3f}" if standing.interval else ""


def outcomes_text(standing: Standing) -> str:
    """The outcomes that occurred, most telling first, and how many answers broke their schema."""
    parts = [
        f"{standing.outcomes[outcome]} {outcome.value.replace('_', ' ')}"
        for outcome in Outcome
        if standing.outcomes[outcome]
    ]
    if standing.violations:
        parts.append(f"{standing.violations} off schema")
    return ", ".join(parts)


def tokens_text(standing: Standing) -> str:
    """Tokens in and out."""
    usage = standing.usage
    if not usage:
        return "–"
    return f"{usage['input']:,} / {usage['output']:,}"


def cost_text(standing: Standing) -> str:
    """What the answers cost at their rates; "≥" where some of it is unknown, and a dash where nothing was asked."""
    if standing.outcomes[Outcome.NOT_RUN] == standing.planned and not standing.cost_usd and not standing.unknown_calls:
        return "–"
    if standing.cost_usd is None:
        return "unknown"
    return f"{'≥ ' if standing.unknown_calls else ''}{dollars(standing.cost_usd)}"


def latency_text(standing: Standing) -> str:
    """Median and 95th percentile."""
    if standing.p50 is None:
        return "–"
    tail = f" / {milliseconds(standing.p95)}" if standing.p95 is not None else ""
    return f"{milliseconds(standing.p50)}{tail}"


def coverage_text(standing: Standing) -> str:
    """Scored of planned samples."""
    return share(standing.scored, standing.planned)


def verdict_text(task: TaskReport) -> str:
    """Who is best on a task and whether that is sure."""
    found: Verdict | None = task.verdict
    if found is None:
        return "Nothing was scored."
    best = next(standing for standing in task.standings if standing.entrant == found.best)
    cost = "cost unknown" if best.cost_usd is None else cost_text(best)
    if not (found.sure_over or found.unsure_over):
        return f"{found.best} scores {score_text(best)} ({cost}); there is nothing to compare it with."
    scored = [standing for standing in task.standings if standing.scored]
    if all(standing.score == best.score for standing in scored):
        return f"{_listed([standing.entrant for standing in scored], 'and')} all score {score_text(best)}."
    text = f"{found.best} scores best ({score_text(best)}, {cost})"
    if found.unsure_over:
        cheapest = _cheapest([s for s in task.standings if s.entrant in found.unsure_over])
        text += f"; not surely better than {_listed(found.unsure_over)} on {found.shared} shared samples"
        if cheapest is not None and best.cost_usd and (cheapest.cost_usd or Decimal(0)) < best.cost_usd:
            text += f", of which {cheapest.entrant} is cheapest ({cost_text(cheapest)})"
    else:
        text += f"; surely better than {_listed(found.sure_over)} (95 %, {found.shared} shared samples)"
    return f"{text}."


def _cheapest(candidates: Sequence[Standing]) -> Standing | None:
    priced = [standing for standing in candidates if standing.cost_usd is not None and not standing.unknown_calls]
    return min(priced, key=lambda standing: standing.cost_usd or Decimal(0), default=None)


def _listed(names: Sequence[str], word: str = "or") -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} {word} {names[-1]}"


def notes(report: Report) -> list[str]:
    """What a reader must know beside the figures."""
    found = []
    simulated = [entrant.entrant.name for entrant in report.entrants if entrant.simulated]
    if simulated:
        who = (
            "All models are" if report.simulated else f"{', '.join(simulated)} {'is' if len(simulated) == 1 else 'are'}"
        )
        found.append(f"{who} simulated or replayed: costs are at their catalogue's rates, and nothing was spent.")
    if report.run.settings.get("on_unsupported") != "drop":
        found += [
            f"{name}: parameters not applied as asked: {', '.join(changes)}."
            for name, changes in _not_applied(report).items()
        ]
    found += [
        f"{name}: another model answered than was asked for: {models}." for name, models in _others(report).items()
    ]
    found += [*served_notes(report), *cache_notes(report)]
    found += [*dropped_notes(report), *outage_notes(report), *budget_notes(report.budget)]
    found += [*_cap_notes(report), *_resumption_notes(report)]
    found += _rescoring_notes(report)
    if report.canaries_usd or report.canaries_unknown:
        unknown = report.canaries_unknown
        more = f", and {unknown:,} of them an unknown amount" if unknown else ""
        found.append(f"The calls that tried the models before the run cost {dollars(report.canaries_usd)}{more}.")
    open_rows = report.count(Outcome.NOT_RUN) + report.count(Outcome.UNKNOWN)
    errors = report.count(Outcome.ERROR)
    if errors:
        found.append(
            f"{counted(errors, 'call')} brought no answer and {'are' if errors != 1 else 'is'} "
            "left out of the scores; entrants are ranked on the samples they share."
        )
    if open_rows:
        what = "sample" if report.run.epochs == 1 else "answer"
        found.append(f"{counted(open_rows, what)} not {'answered' if what == 'sample' else 'given'} yet.")
    if any(standing.unknown_calls for standing in report.standings):
        calls = sum(standing.unknown_calls for standing in report.standings)
        found.append(f"The cost of {counted(calls, 'call')} is unknown; sums hold what is known.")
    if odd := sum(standing.inconsistent for standing in report.standings):
        found.append(f"{counted(odd, 'answer')} reported token counts that cannot be; their cost is unknown.")
    return found


def served_notes(report: Report) -> list[str]:
    """Who answered of each chain."""
    found: dict[str, Counter[str]] = {}
    for standing in report.standings:
        if standing.served:
            found.setdefault(standing.entrant, Counter()).update(standing.served)
    listed = {
        name: ", ".join(f"{model} ({counted(count, 'answer')})" for model, count in who.most_common())
        for name, who in found.items()
    }
    return [f"{name}: answered by {models}." for name, models in listed.items()]


def cache_notes(report: Report) -> list[str]:
    """How many answers were bought before."""
    cached = sum(standing.cached for standing in report.standings)
    return (
        [f"{counted(cached, 'answer')} came from the cache: bought by an earlier call, and now for $0."]
        if cached
        else []
    )


def dropped_notes(report: Report) -> list[str]:
    """Whom the run dropped after its first call, and why; those of one cause together."""
    by_cause: dict[str, list[str]] = {}
    for found in dropped_entrants(report.run):
        by_cause.setdefault(found.cause, []).append(found.entrant)
    return [
        f"Dropped, as the first call failed: {one_line(', '.join(names), MAX_CAUSE)}. {one_line(cause, MAX_CAUSE)}"
        for cause, names in by_cause.items()
    ]


def outage_notes(report: Report) -> list[str]:
    """Whose outage the run stopped at."""
    outage = outage_of(report.run)
    if outage is None:
        return []
    why = f" {one_line(outage.cause, MAX_CAUSE)}" if outage.cause else ""
    return [f"Stopped: {outage.entrant} brought no answer for {outage.seconds:,.0f} s.{why}"]


def _resumption_notes(report: Report) -> list[str]:
    found = []
    for entry in report.run.settings.get("resumed", ()):
        parts = ["asked samples again that had ended in an error"] if entry["retry_errors"] else []
        parts += ["left calls of unknown fate as they were"] if entry["keep_unknown"] else []
        found.append(f"Resumed on {entry['at'][:10]}: {' and '.join(parts)}.")
    return found


def _rescoring_notes(report: Report) -> list[str]:
    """Which version of its scores is shown of each task that was scored again: the newest."""
    newest = {task: entry for entry in report.run.settings.get("rescored", ()) for task in entry["tasks"]}
    return [
        f"The scores of {task} are version {entry['version']}, of the rescoring on {entry['at'][:10]}."
        for task, entry in newest.items()
    ]


def _not_applied(report: Report) -> dict[str, list[str]]:
    """For each entrant the parameters that its provider dropped or renamed."""
    found: dict[str, set[str]] = {}
    for standing in report.standings:
        if standing.not_applied:
            found.setdefault(standing.entrant, set()).update(standing.not_applied)
    return {name: sorted(changes) for name, changes in found.items()}


def _others(report: Report) -> dict[str, str]:
    """For each entrant the models that answered in its place, with the number of answers."""
    found: dict[str, Counter[str]] = {}
    for standing in report.standings:
        if standing.others:
            found.setdefault(standing.entrant, Counter()).update(standing.others)
    return {
        name: ", ".join(f"{model} ({counted(count, 'answer')})" for model, count in models.most_common(5))
        for name, models in found.items()
    }


def budget_text(budget: BudgetState | None) -> str:
    """A run's own budget and what is left of it; empty where it has none."""
    if budget is None or budget.usd is None:
        return ""
    kept = f", ${usd_text(budget.reserved)} kept for calls of unknown cost" if budget.reserved else ""
    return f"${usd_text(budget.usd)}: ${usd_text(budget.spent)} spent{kept}"


def budget_notes(budget: BudgetState | None) -> list[str]:
    """What to know of a run's budget, and at which one it stopped."""
    found = [f"Budget of {text}."] if (text := budget_text(budget)) else []
    if budget is not None and (stop := budget.stop) is not None:
        found.append(
            f"Stopped at {stop.budget} of ${usd_text(stop.usd)}, before a call that can cost ${usd_text(stop.needed)}."
        )
    return found


def _cap_notes(report: Report) -> list[str]:
    """That answers were kept short for a budget, where nobody said how long they may be."""
    cap = report.budget.cap if report.budget is not None else None
    real = [entry.entrant.parameters for entry in report.entrants if not entry.simulated]
    asked = [{**task.record.spec.get("parameters", {}), **own} for task in report.tasks for own in real]
    if cap is None or all(any(name in parameters for name in CAP_NAMES) for parameters in asked):
        return []
    return [f"Calls under a budget that name no max_tokens ask for {cap:,}: longer answers are cut off."]


def unknown_text(call: UnknownCall) -> str:
    """A call of unknown fate, in a line."""
    bound = "at an unbounded cost" if call.at_most is None else f"at most {dollars(call.at_most)}"
    return f"{call.task} / {call.sample_id} / {call.entrant} ({call.call_id}), {bound}"
