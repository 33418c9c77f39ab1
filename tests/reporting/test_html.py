"""A run as an HTML page: written where it belongs, whole, safe, and its figures those of the other formats."""

from __future__ import annotations

import re
from decimal import Decimal
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.evals.conftest import Bench

VOID = {"meta", "br", "img", "input", "link", "hr"}
EVIL = '<script>alert("x")</script>'


class Page(HTMLParser):
    """What a browser would make of the page: tags that stay open, resources, and the tables' texts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.tags: set[str] = set()
        self.tables: list[list[list[str]]] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        if tag == "table":
            self.tables.append([])
        if tag == "tr":
            self.tables[-1].append([])
        if tag in ("td", "th"):
            self.tables[-1][-1].append("")
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "td" in self.open or "th" in self.open:
            self.tables[-1][-1][-1] += data

    def table(self, *heads: str) -> list[list[str]]:
        """The rows of the first table that begins with these heads."""
        return next(rows[1:] for rows in self.tables if tuple(rows[0][: len(heads)]) == heads)


def usage(**counts: int) -> dict[str, int]:
    return {"prompt_tokens": 1000, "completion_tokens": 7, **counts}


@pytest.fixture
def done(bench: Bench) -> Bench:
    """A run with right, wrong, cut off and failed answers, cached tokens, an unknown cost and an evil name."""
    bench.task(description=f"Sums {EVIL}", samples=4)
    good = {f"s{n}": {"answer": str(n + 1), "usage": usage(cached_input=900)} for n in (1, 2, 3)}
    poor = {
        "s1": {"answer": EVIL, "usage": usage()},
        "s2": {"answer": "3", "usage": usage()},
        "s3": {"answer": "", "usage": usage()},
        "s4": "no usage",
    }
    rates = {"cost_input": "1.5", "cost_cached_input": "0.15", "cost_output": 2}
    listed = [{"name": name, "answers": f"{name}.jsonl", **rates} for name in ("good", "poor")]
    bench.replay("rep", {"good": good, "poor": poor}, llm_models=listed)
    entrants = ["rep:good", {"name": EVIL, "model": "rep:poor"}]
    bench.write("config.json", {"run": {"tasks": ["sums"], "entrants": entrants}})
    assert bench.cli("run", "--name", "first").code == 3
    return bench


def page_of(bench: Bench, run: str = "last") -> Page:
    said = bench.cli("report", run)
    assert said.code == 0, said
    return Page(Path(said.out.strip()).read_text("utf-8"))


def test_the_page_is_written_into_the_reports_folder_whole_and_alone(done: Bench) -> None:
    run = done.cli("runs", "list", "--json").json[0]["run"]
    path = done.root / "reports" / f"{run}.html"
    assert done.cli("report", "last").out == f"{path}\n"
    text = path.read_text("utf-8")
    page = Page(text)
    assert page.open == []
    assert "script" not in page.tags
    assert not [value for name, value in page.attributes if name in ("src", "href", "srcset", "data")]
    assert "url(" not in text
    assert "http://" not in text
    assert "https://" not in text
    assert "default-src 'none'; style-src 'unsafe-inline'; img-src data:" in dict(page.attributes)["content"] or (
        ("content", "default-src 'none'; style-src 'unsafe-inline'; img-src data:") in page.attributes
    )
    assert EVIL not in text
    assert "&lt;script&gt;" in text


def test_the_leaderboard_says_what_the_json_says(done: Bench) -> None:
    rows = {row["entrant"]: row for row in done.report()["models"]}
    shown = {row[1]: row for row in page_of(done).table("Rank", "Entrant")}
    for name, row in rows.items():
        assert shown[name][2] == f"{row['score']:.3f}"
        assert shown[name][8] == f"{row['samples']}/{row['planned']}"
    # 3 answers of 100 new, 900 cached and 7 output tokens; the fourth sample failed, which costs nothing.
    each = (100 * Decimal("1.5") + 900 * Decimal("0.15") + 7 * 2) / 1_000_000
    assert rows["rep:good"]["cost_usd"] == str(3 * each) == "0.000897"
    assert shown["rep:good"][4:8] == ["$0.000224", "$0.000299", "$0.000897", "$0.00454"]
    assert shown[EVIL][6] == "≥ $0.00454 (1 unknown, no bound)"


def test_lines_add_up_to_the_total_of_the_json_to_the_last_digit(done: Bench) -> None:
    page = page_of(done)
    for row in done.report()["models"]:
        for heads, column in ((("Entrant", "Class"), 4), (("Entrant", "Outcome"), 3)):
            lines = [cells for cells in page.table(*heads) if cells[0] == row["entrant"]]
            *parts, total = [cells[column].removeprefix("≥ ") for cells in lines]
            known = [Decimal(part) for part in parts if part != "unknown"]
            assert sum(known) == Decimal(total) == Decimal(row["cost_usd"])


def test_what_is_unknown_is_never_zero(done: Bench) -> None:
    outcomes = [row for row in page_of(done).table("Entrant", "Outcome") if row[0] == EVIL]
    assert ["wrong", "1", "unknown", "unknown (1 call, no bound)"] in [row[1:] for row in outcomes] or any(
        row[3].startswith("≥ ") for row in outcomes
    )
    projected = {row[0]: row[1:] for row in page_of(done).table("Entrant", "1,000 samples")}
    assert projected[EVIL][0].startswith("≥ $")
    assert re.fullmatch(r"\$0\.224 \(\$[\d.]+–\$[\d.]+\)", projected["rep:good"][0])


def test_an_unpriced_model_has_no_cost_anywhere(bench: Bench) -> None:
    bench.task()
    answers = {f"s{n}": {"answer": "2", "usage": usage()} for n in (1, 2, 3)}
    bench.replay("rep", {"m": answers}, llm_models=[{"name": "m", "answers": "m.jsonl"}])
    assert bench.cli("run", "sums", "-m", "rep:m").code == 0
    page = page_of(bench)
    assert page.table("Rank")[0][4:8] == ["unknown", "unknown", "unknown (3 calls, no bound)", "unknown"]
    assert page.table("Entrant", "Class")[-1][4] == "unknown"
    assert page.table("Entrant", "1,000 samples")[0][1:] == ["unknown"] * 4
    assert page.table("Entrant", "Holds")[0][2] == "unknown"
    assert "svg" not in page.tags


def test_the_page_of_ten_thousand_answers_is_small(bench: Bench) -> None:
    bench.task(samples=2_000)
    answers = {f"s{n}": {"answer": str(n + 1), "usage": usage()} for n in range(1, 2_001)}
    bench.replay("rep", {"m": answers})
    assert bench.cli("run", "sums", "-m", "rep:m").code == 0
    path = Path(bench.cli("report", "last").out.strip())
    assert path.stat().st_size < 60_000


def test_a_page_can_go_to_a_file_of_choice_or_to_standard_output(done: Bench, tmp_path: Path) -> None:
    chosen = tmp_path / "page.html"
    assert done.cli("report", "first", "--output", str(chosen)).out == f"{chosen}\n"
    assert done.cli("report", "first", "--output", "-").out == chosen.read_text("utf-8")
    table = tmp_path / "rows.csv"
    assert done.cli("report", "first", "--format", "csv", "--output", str(table)).code == 0
    assert table.read_text("utf-8") == done.cli("report", "first", "--format", "csv").out


def test_a_file_that_cannot_be_written_is_one_clear_error(done: Bench, tmp_path: Path) -> None:
    said = done.cli("report", "first", "--output", str(tmp_path / "none" / "page.html")).error()
    assert "cannot be written: No such file or directory" in said
    assert "--open needs an HTML file" in done.cli("report", "first", "--format", "md", "--open").error()
