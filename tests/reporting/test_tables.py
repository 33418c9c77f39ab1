"""A run in a terminal, drawn at 100 columns."""

from __future__ import annotations

import io
import re
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest
from rich.cells import cell_len
from rich.console import Console, RenderableType

from llm_tester.config import Workspace
from llm_tester.cost_manager import Rates
from llm_tester.evals.entrants import Entrant
from llm_tester.evals.lanes import LaneProgress
from llm_tester.evals.ledger import Ledger
from llm_tester.evals.results import Result, results
from llm_tester.evals.run_records import EntrantRecord
from llm_tester.evals.samples import Outcome
from llm_tester.reporting.report import Report, build_report
from llm_tester.reporting.tables import compact, leaderboard, listing, live, packed, sample, wrong_answers
from llm_tester.reporting.text import plain

if TYPE_CHECKING:
    from tests.evals.conftest import Bench

WIDTH = 100


def drawn(what: RenderableType, *, terminal: bool = False) -> str:
    """The picture at 100 columns, of which no line is longer."""
    screen = Console(record=True, width=WIDTH, file=io.StringIO(), highlight=False, force_terminal=terminal)
    screen.print(what)
    text = screen.export_text()
    assert [line for line in text.splitlines() if cell_len(line) > WIDTH] == []
    assert "\x1b" not in text
    return text


def gathered(bench: Bench) -> tuple[Report, list[Result]]:
    with Ledger.existing(Workspace.open(bench.root).ledger_path) as ledger:
        run = ledger.run("last")
        return build_report(ledger, run), list(results(ledger, run))


@pytest.fixture
def demonstrated(bench: Bench) -> tuple[Report, list[Result]]:
    """The demonstration's run."""
    assert bench.cli("demo").code == 0
    return gathered(bench)


@pytest.fixture
def hostile(bench: Bench) -> tuple[Report, list[Result]]:
    """A run of long names, long texts and terminal codes."""
    long = "A very long sentence that goes on and on 中文字符也很宽 " * 20
    bench.task(
        "a-task-with-a-name-that-is-longer-than-most-people-would-ever-choose-for-a-task-of-their-own-company",
        [{"id": "\x1b[31mred-" + "s" * 40, "input": long, "target": long}, {"id": "b", "input": "q", "target": "x"}],
        scorer={"type": "exact"},
        prompts={"b": "Variant: {{ input }}"},
    )
    bench.replay("rep", {"m": {"\x1b[31mred-" + "s" * 40: "\x1b]52;c;eA==\x07" + long, "b": "\u202e[bold]x[/bold]"}})
    names = ["an-entrant-with-a-name-that-is-" + "quite-" * 12 + "long", "\x1b[2Jshort"]
    entrants = [{"name": names[0], "model": "rep:m", "prompt": "b"}, {"name": names[1], "model": "rep:m"}]
    tasks = [folder.name for folder in (bench.root / "tasks").iterdir()]
    bench.write("config.json", {"run": {"tasks": tasks, "entrants": entrants}})
    assert bench.cli("run").code == 0
    return gathered(bench)


def test_the_leaderboard_of_the_demonstration(demonstrated: tuple[Report, list[Result]]) -> None:
    text = drawn(leaderboard(demonstrated[0]))
    assert re.search(r"mock:careful +0\.989 +0\.868–0\.997 +26 correct, +8\.0k/3\.2k +\$0\.0516 +2\.1 s +28/28", text)
    assert re.search(r"mock:sloppy +0\.718", text)
    for task in ("purchase_orders", "expense_claims", "word_problems"):
        assert f"{task}  (simulated)\n" in re.sub(r" +\n", "\n", text)
    assert "All models are simulated or replayed" in text
    order = re.findall(r"^ (mock:\w+)", text, re.MULTILINE)
    assert order[:5] == ["mock:careful", "mock:thrifty", "mock:chatty", "mock:flaky", "mock:sloppy"]


def test_the_wrong_answers_of_the_demonstration(demonstrated: tuple[Report, list[Result]]) -> None:
    wrong = [row for row in demonstrated[1] if row.outcome is not Outcome.CORRECT]
    text = drawn(wrong_answers(wrong))
    assert "OverloadedError: simulated" in text
    assert re.search(r"wp-025 +mock:sloppy +invalid +0\.00 +12 +elf bis zwölf Pakete", text)


@pytest.mark.parametrize("terminal", [False, True])
def test_long_and_hostile_texts_stay_within_the_width(hostile: tuple[Report, list[Result]], terminal: bool) -> None:
    report, rows = hostile
    board = drawn(leaderboard(report), terminal=terminal)
    assert "2/2" in board
    texts = [board, drawn(wrong_answers(rows)), drawn(sample(rows[:2], {"": "p\x1b[31m", "b": rows[0].answer or ""}))]
    for text in texts:
        assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", text)
    assert "[bold]x[/bold]" in "".join(texts) + drawn(sample(rows[-2:], {}))
    assert 'Prompt "b"' in texts[2]


def test_one_sample_shows_what_every_entrant_made_of_it(demonstrated: tuple[Report, list[Result]]) -> None:
    rows = [row for row in demonstrated[1] if row.sample_id in ("ec-007", "wp-025")]
    text = drawn(sample(rows, {"": "Read it."}))
    assert "Prompt\nRead it.\n\nExpected\n" in text
    assert "mock:sloppy: partial, score 0.714\n" in text
    assert "tax missing; litres invented\n" in text
    assert "(the whole): 'tax' is a required property\n" in text
    assert "There is no number in the answer.\n" in text


def lane(done: int, total: int, *, cost: Decimal | None = Decimal("0.002")) -> LaneProgress:
    entrant = EntrantRecord(1, Entrant(f"p:m{done}", "p", "m"), done > 5, "", 1, Rates())
    found = LaneProgress(entrant, total)
    for number in range(done):
        found.sent += 1
        found.count(Outcome.ERROR if number == 1 else Outcome.CORRECT, 1.0, cost)
    return found


def test_live_rows_show_what_is_done_and_what_it_will_cost() -> None:
    text = drawn(live([lane(0, 10), lane(5, 10), lane(10, 10), lane(3, 10, cost=None), lane(0, 0)], 2.0))
    lines = [re.split(r" {2,}", line.strip()) for line in text.splitlines() if line.strip().startswith("p:")]
    assert lines == [
        ["p:m0", "0/10", "░░░░░░░░░░░░░░", "–", "–", "–", "0.0", "0"],
        ["p:m5", "5/10", "███████░░░░░░░", "1.000", "$0.01", "$0.02", "2.5", "1"],
        ["p:m10 (simulated)", "10/10", "██████████████", "1.000", "$0.02", "$0.02", "5.0", "1"],
        ["p:m3", "3/10", "████░░░░░░░░░░", "1.000", "–", "–", "1.5", "1"],
        ["p:m0", "0/0", "██████████████", "–", "–", "–", "0.0", "0"],
    ]
    assert "–" in drawn(live([lane(1, 10)], 0.0))


def test_a_cost_of_which_a_part_is_unknown_is_at_least() -> None:
    found = lane(3, 10)
    found.count(Outcome.CORRECT, 1.0, None)
    assert re.search(r"≥ \$0\.006 +\$0\.02", drawn(live([found], 1.0)))


def test_small_things() -> None:
    assert packed(["26 correct", "2 partial", "11 wrong"], 22) == "26 correct, 2 partial,\n11 wrong"
    assert packed([""], 5) == ""
    assert compact(7960, 999, 1_234_567) == "8.0k/999/1.2M"
    assert (plain("text"), plain({"ü": 1}), plain(5)) == ("text", '{"ü": 1}', "5")
    assert "col" in drawn(listing(["col"], [["\x1b[31mcell"]]))
