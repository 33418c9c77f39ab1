"""Amounts with a decimal comma, as a German Excel writes them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from llm_tester.errors import TaskError
from llm_tester.evals.cells import cell_value

if TYPE_CHECKING:
    from tests.evals.conftest import Bench

NUMBER = frozenset({"number", "null"})


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("262,40", 262.4),
        ("1.262,40", 1262.4),
        ("-1.234.567,5", -1234567.5),
        ("1262,40", 1262.4),
        ("1.262", 1262),
        ("15", 15),
        ("0,5", 0.5),
        (" ", None),
    ],
)
def test_a_cell_with_a_decimal_comma_is_a_number_where_it_is_declared(text: str, value: Any) -> None:
    assert cell_value(text, NUMBER, "here", ",") == value


@pytest.mark.parametrize("text", ["262.40", "1.5", "12.34,5", "1.2622", "1,2,3", "0.262,4", "007", "1.262,40 €"])
def test_another_point_is_a_mistake(text: str) -> None:
    with pytest.raises(TaskError, match="is not of the type number"):
        cell_value(text, NUMBER, "here", ",")


def test_a_whole_number_may_have_its_thousands_set_apart() -> None:
    assert cell_value("1.262", frozenset({"integer"}), "here", ",") == 1262
    with pytest.raises(TaskError):
        cell_value("1,5", frozenset({"integer"}), "here", ",")


def tickets(*rows: str) -> bytes:
    return "\r\n".join(["Nr;Text;Art;Betrag EUR;Menge", *rows, ""]).encode("cp1252")


def task(bench: Bench, **samples: Any) -> None:
    bench.task("tickets", None, scorer={"type": "fields"}, fields={"input": "Text", "target": ["Art", "Betrag EUR"]})
    described = json.loads((bench.root / "tasks/tickets/task.json").read_text())
    how = {"file": "t.csv", "encoding": "cp1252", "types": {"Betrag EUR": "number"}, **samples}
    bench.write("tasks/tickets/task.json", {**described, "samples": how})
    bench.write("tasks/tickets/t.csv", tickets("1;Für 262,40 €;Rückgabe;262,40;1", "2;Hallo;Frage;1.262,40;1"))


def test_a_task_reads_them_by_its_decimal_mark(bench: Bench) -> None:
    task(bench, decimal_mark=",")
    assert bench.cli("tasks", "check", "tickets").code == 0
    task(bench)
    said = bench.cli("tasks", "check", "tickets").error()
    assert 't.csv:2: column "Betrag EUR": "262,40" is not of the type number' in said
    assert '"samples": {..., "decimal_mark": ","}' in said


def test_a_point_under_a_declared_comma_is_told_with_the_cause(bench: Bench) -> None:
    task(bench, decimal_mark=",")
    bench.write("tasks/tickets/t.csv", tickets("1;x;Frage;262.40;1"))
    said = bench.cli("tasks", "check", "tickets").error()
    assert 'The "decimal_mark" of the samples in task.json is a comma' in said


def new(bench: Bench, *targets: str) -> tuple[dict[str, Any], dict[str, Any], str]:
    """task.json, schema.json and what was said of a new task that passes its check."""
    named = [part for target in targets for part in ("--target", target)]
    where = ("--from", "t.csv", "--encoding", "cp1252", "--input", "Text", "--id", "Nr")
    ended = bench.cli("tasks", "new", "mine", *where, *named)
    assert ended.code == 0, ended
    assert bench.cli("tasks", "check", "mine").code == 0
    folder = bench.root / "tasks/mine"
    schema = folder / "schema.json"
    described = json.loads((folder / "task.json").read_text("utf-8"))
    return described, json.loads(schema.read_text("utf-8")) if schema.exists() else {}, ended.out


def test_a_new_task_notices_decimal_commas_and_says_so(bench: Bench) -> None:
    bench.write("t.csv", tickets("1;a;Rückgabe;262,40;1", "2;b;Frage;1.262,40;3", "3;c;Frage;;2"))
    described, schema, said = new(bench, "Art", "Betrag EUR", "Menge")
    assert described["samples"] == {"file": "samples.csv", "encoding": "cp1252", "decimal_mark": ","}
    assert schema["properties"]["Betrag EUR"] == {"type": ["number", "null"]}
    rule = {"type": "number", "tolerance": 0.005, "decimal_mark": ","}
    assert described["scorer"]["fields"] == {"Betrag EUR": rule}
    assert 'Note: "Betrag EUR" holds numbers with a decimal comma: 1.262,40 is read as 1262.4' in said


def test_where_other_columns_have_points_they_stay_texts(bench: Bench) -> None:
    bench.write("t.csv", tickets("1;a;x;262,40;1.5", "2;b;y;1.262,40;3"))
    described, schema, said = new(bench, "Betrag EUR", "Menge")
    assert described["samples"] == {"file": "samples.csv", "encoding": "cp1252"}
    assert {name: part["type"] for name, part in schema["properties"].items()} == {
        "Betrag EUR": "string",
        "Menge": "number",
    }
    assert described["scorer"]["fields"]["Betrag EUR"]["decimal_mark"] == ","
    assert '"Betrag EUR" holds texts of numbers with a decimal comma' in said


def test_so_they_do_with_a_currency(bench: Bench) -> None:
    bench.write("t.csv", tickets("1;a;x;262,40 €;1", "2;b;y;1.262,40 €;3"))
    described, schema, _ = new(bench, "Betrag EUR", "Menge")
    assert "decimal_mark" not in described["samples"]
    assert schema["properties"]["Betrag EUR"]["type"] == "string"


def test_a_comma_that_can_set_thousands_apart_is_none(bench: Bench) -> None:
    bench.write("t.csv", tickets("1;a;x;1,262;1", "2;b;y;12,400;3"))
    described, _, said = new(bench, "Betrag EUR", "Menge")
    assert "decimal_mark" not in json.dumps(described)
    assert "Note" not in said


def test_a_single_amount_is_scored_by_its_mark(bench: Bench) -> None:
    bench.write("t.csv", tickets("1;a;x;262,40;1", "2;b;y;1.262;3"))
    described, _, said = new(bench, "Betrag EUR")
    assert described["scorer"] == {"type": "numeric", "decimal_mark": ","}
    assert "Note: the targets have decimal commas" in said
