"""Tasks out of people's own files, by the program itself."""

from __future__ import annotations

import csv
import io
import json
import os
import random
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.evals.conftest import Bench

# Read when this file is: the environment is cleaned for each test.
DATA = Path(os.environ.get("LLM_TESTER_TEST_DATA", ""))
HEADER = ["Nr. (intern)", "E-Mail; roh", "Lieferant / Vendor", "Betrag (€)", "Datum ", "bezahlt?", "# Pos", "Kunden-Nr"]
TARGETS = HEADER[2:]


def awkward(delimiter: str = ",") -> str:
    """200 rows with quotes, lines and commas in cells, empty cells, a repeated row and one without an input."""
    chance, rows = random.Random(4), []
    for n in range(200):
        vendor = chance.choice(["Müller & Söhne", "O'Brien, Ltd.", 'The "Quoted" Co.', "Ünal\nTrading", f"Firm {n}"])
        total = "" if n % 17 == 0 else f"{chance.uniform(1, 5000):.2f}"
        date = f"{chance.randint(1, 28):02}/{chance.randint(1, 12):02}/2025"
        text = f'Invoice {n} of {vendor}\nTotal: {total} EUR, "net 30"\n\n{date}'
        paid = chance.choice(["TRUE", "FALSE"])
        rows.append([f"INV-{n:04}", text, vendor, total, date, paid, str(chance.randint(1, 9)), f"00{n:03}"])
    rows[50] = rows[10]
    rows[70][1] = " "
    written = io.StringIO()
    csv.writer(written, delimiter=delimiter).writerows([HEADER, *rows])
    return written.getvalue()


def wish(*targets: str) -> list[str]:
    return ["--input", "E-Mail; roh", *(part for target in targets for part in ("--target", target))]


def made(bench: Bench, *arguments: str) -> dict[str, Any]:
    """The task.json of a task that was made of these arguments and passes its check."""
    ended = bench.cli("tasks", "new", "mine", *arguments)
    assert ended.code == 0, ended
    assert ended.out.endswith("Next: llm-tester tasks check mine, then llm-tester run mine -m provider:model\n")
    checked = bench.cli("tasks", "check", "mine")
    assert checked.code == 0, checked
    found: dict[str, Any] = json.loads((bench.root / "tasks/mine/task.json").read_text("utf-8"))
    return found


@pytest.mark.parametrize(("encoding", "delimiter"), [("utf-8-sig", ","), ("utf-16", "\t"), ("utf-8", ";")])
def test_a_csv_of_awkward_columns_becomes_a_task_of_fields(bench: Bench, encoding: str, delimiter: str) -> None:
    file = bench.write("orders.csv", awkward(delimiter).encode(encoding))
    task = made(bench, "--from", "orders.csv", *wish(*TARGETS), "--id", HEADER[0])
    assert task["fields"] == {"id": HEADER[0], "input": HEADER[1], "target": TARGETS}
    assert task["samples"] == {"file": "samples.csv", "skip": ["duplicates", "empty"]}
    assert task["scorer"]["fields"] == {
        "Betrag (€)": {"type": "number", "tolerance": 0.005},
        "Datum ": {"type": "date", "day_first": True},
    }
    schema = json.loads((bench.root / "tasks/mine/schema.json").read_text("utf-8"))
    kinds = {key: part["type"] for key, part in schema["properties"].items()}
    assert kinds == dict(
        zip(TARGETS, ["string", ["number", "null"], "string", "boolean", "integer", "string"], strict=True)
    )
    assert (bench.root / "tasks/mine/samples.csv").read_bytes() == file.read_bytes()
    assert "- Betrag (€): a number, or null where it is not stated\n- Datum : a date, the day first\n" in task["prompt"]


def test_what_is_left_out_is_told(bench: Bench) -> None:
    bench.write("orders.csv", awkward())
    ended = bench.cli("tasks", "new", "mine", "--from", "orders.csv", *wish("# Pos"))
    assert "198 samples, scored by numeric\n" in ended.out
    assert 'say the same as an earlier one are left out ("skip" in task.json): 1, the first is orders.csv:' in ended.out
    assert 'have no input or no target are left out ("skip" in task.json): 1, the first is orders.csv:' in ended.out


@pytest.mark.parametrize(
    ("labels", "options"),
    [
        (["A", "B", "C"], ["A", "B", "C"]),
        (["north east", "South"], ["South", "north east"]),
        (["B", "C", "D"], None),
        (["A", "Beta"], None),
        (["a_b", "a b", "ab"], None),
        (["Rome", "rome"], None),
        (["**", "x y"], None),
        ([f"label {n}" for n in range(12)], sorted(f"label {n}" for n in range(12))),
        ([f"label {n}" for n in range(13)], None),
        (["yes", "no"], None),
    ],
)
def test_labels_are_a_choice_where_none_can_be_taken_for_another(
    bench: Bench, labels: list[str], options: list[str] | None
) -> None:
    rows = "".join(f"text {n},{labels[n % len(labels)]}\n" for n in range(4 * len(labels)))
    bench.write("s.csv", f"text,label\n{rows}")
    task = made(bench, "--from", "s.csv", "--input", "text", "--target", "label")
    assert task["scorer"] == ({"type": "exact"} if options is None else {"type": "choice", "choices": options})


def test_one_column_of_few_labels_is_asked_for_as_one_of_them(bench: Bench) -> None:
    bench.write("s.csv", "text,label\n" + "".join(f"text {n},{'good' if n % 2 else 'bad'}\n" for n in range(20)))
    task = made(bench, "--from", "s.csv", "--input", "text", "--target", "label")
    assert task["prompt"] == "Answer with one of these, and nothing else: bad, good.\n\n{{ input }}"
    assert (task["scorer"], task["samples"]) == ({"type": "choice", "choices": ["bad", "good"]}, "samples.csv")


def test_a_prompt_of_one_s_own_gets_the_input_where_it_says_or_below(bench: Bench) -> None:
    bench.write("s.csv", "input,target\na,1\n")
    assert made(bench, "--from", "s.csv", "--prompt", "Count {{ input }}!")["prompt"] == "Count {{ input }}!"
    ended = bench.cli("tasks", "new", "more", "--from", "s.csv", "--prompt", "Count.", "--scorer", "exact")
    assert ended.code == 0
    more = json.loads((bench.root / "tasks/more/task.json").read_text())
    assert (more["prompt"], more["scorer"]["type"]) == ("Count.\n\n{{ input }}", "exact")


def test_marks_of_a_template_in_labels_stay_as_they_are(bench: Bench) -> None:
    bench.write("s.csv", "input,target\n" + "".join(f"text {n},{'{{x}}' if n % 2 else 'y'}\n" for n in range(20)))
    made(bench, "--from", "s.csv")
    assert "nothing else: y, {{x}}." in bench.cli("tasks", "check", "mine").out


def test_samples_in_the_usual_form_need_no_columns(bench: Bench) -> None:
    bench.lines("s.jsonl", [{"source": f"q{n}", "expected": {"a": n, "b": [n]}} for n in range(5)])
    task = made(bench, "--from", "s.jsonl")
    assert "fields" not in task
    assert task["scorer"] == {"type": "fields"}
    bench.write("s.csv", "nr,source,expected,more\n1,q,2,z\n")
    ended = bench.cli("tasks", "new", "more", "--from", "s.csv")
    assert ended.code == 0, ended
    fields = json.loads((bench.root / "tasks/more/task.json").read_text())["fields"]
    assert fields == {"input": "source", "target": "expected"}


def test_a_target_that_is_a_list_is_asked_for_as_json(bench: Bench) -> None:
    bench.lines("s.jsonl", [{"input": f"q{n}", "target": [n, n + 1]} for n in range(5)])
    assert made(bench, "--from", "s.jsonl")["prompt"].startswith("Read the text below. Answer with JSON only.")


def test_dates_that_could_be_either_and_long_targets_are_told_of(bench: Bench) -> None:
    bench.write("s.csv", "q,when,n\nx,01/02/2025,1\ny,03/04/2025,2\n")
    ended = bench.cli("tasks", "new", "a", "--from", "s.csv", "--input", "q", "--target", "when", "--target", "n")
    assert 'Note: "when" holds dates of which day and month cannot be told apart' in ended.out
    bench.write("s.csv", f"q,a\nx,{'long ' * 30}\n")
    ended = bench.cli("tasks", "new", "b", "--from", "s.csv", "--input", "q", "--target", "a")
    assert "Note: the targets are long texts" in ended.out


def test_a_folder_is_copied_with_what_it_uses(bench: Bench) -> None:
    for n in range(3):
        bench.write(f"cases/in/{n}.eml", f"Text {n}")
        bench.write(f"cases/gold/{n}.json", {"n": n})
        bench.write(f"cases/other/{n}.bin", "x")
    task = made(bench, "--from", "cases", "--input", "in", "--target", "gold")
    assert task["samples"] == {"file": "samples", "inputs": "in", "targets": "gold"}
    copied = sorted(
        str(path.relative_to(bench.root / "tasks/mine")) for path in (bench.root / "tasks/mine").rglob("*.*")
    )
    assert copied == [
        *(f"samples/gold/{n}.json" for n in range(3)),
        *(f"samples/in/{n}.eml" for n in range(3)),
        "schema.json",
        "task.json",
    ]


def test_a_file_of_another_encoding_is_read_when_it_is_named(bench: Bench) -> None:
    bench.write("s.csv", "q,a\nMüller,1\n".encode("cp1252"))
    arguments = ("--from", "s.csv", "--input", "q", "--target", "a")
    assert "--encoding" in bench.cli("tasks", "new", "mine", *arguments).error()
    task = made(bench, *arguments, "--encoding", "cp1252")
    assert task["samples"] == {"file": "samples.csv", "encoding": "cp1252"}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ["--from", "o.csv", "--input", "E-Mail", "--target", "# Pos"],
            "Did you mean E-Mail; roh? The columns are: 'Nr.",
        ),
        (["--from", "o.csv", *wish("Betrag")], 'o.csv: there is no column "Betrag"'),
        (["--from", "o.csv"], "o.csv: which column holds the input?\n  Say --input COLUMN. The columns are: 'Nr."),
        (["--from", "o.csv", "--input", "# Pos"], "o.csv: which column holds the target?"),
        (["--from", "o.csv", *wish("# Pos"), "--scorer", "numerik"], "Did you mean numeric?"),
        (["--from", "o.csv", *wish("bezahlt?"), "--scorer", "numeric"], "The numeric scorer needs a number"),
        (["--from", "o.csv", *wish("# Pos"), "--prompt", "{{ text }}"], 'prompt: there is no "text" to fill in'),
        (["--from", "o.csv", *wish("# Pos"), "--id", "# Pos"], "was used in line"),
        (["--from", "odd.csv"], "scores 0.000 against itself, and 1 others"),
        (["--from", "none.csv"], "none.csv: there is no such file or folder"),
        (["--from", "empty.csv", "--target", "a"], "empty.csv: holds no samples"),
        (["--from", "config.json"], "samples are read from .jsonl, .csv and .tsv files"),
        (["--from", "tasks/sums"], "tasks/sums: is a task as it stands"),
        (["--from", "cases", "--id", "x"], "its files have names and no columns"),
        (["--prompt", "x"], "--prompt belongs to --from FILE"),
    ],
)
def test_what_cannot_be_made_is_told_and_leaves_nothing(bench: Bench, arguments: list[str], said: str) -> None:
    bench.task()
    bench.write("o.csv", awkward())
    bench.write("odd.csv", "input,target\na,<think>x</think>\nb,<think>y</think>\n")
    bench.write("empty.csv", "")
    bench.write("cases/a.md", "x")
    before = bench.snapshot()
    assert said in bench.cli("tasks", "new", "mine", *arguments).error()
    assert bench.snapshot() == before


def test_nothing_is_overwritten_or_half_made(bench: Bench) -> None:
    bench.task("mine")
    bench.write("s.csv", "input,target\na,1\n")
    before = bench.snapshot()
    assert "mine exists already" in bench.cli("tasks", "new", "mine", "--from", "s.csv").error()
    assert bench.snapshot() == before
    (bench.root / "blocked").mkdir()
    bench.write("blocked/config.json", "{}")
    bench.write("blocked/tasks", "x")
    bench.write("blocked/s.csv", "input,target\na,1\n")
    said = bench.elsewhere(bench.root / "blocked", "tasks", "new", "mine", "--from", "s.csv").error()
    assert "cannot be made: Not a directory" in said


@pytest.mark.skipif(not os.environ.get("LLM_TESTER_TEST_DATA"), reason="LLM_TESTER_TEST_DATA does not name a folder")
@pytest.mark.parametrize(("name", "scorer"), [("gsm8k", "numeric"), ("receipts", "fields")])
def test_real_files_become_tasks(bench: Bench, name: str, scorer: str) -> None:
    task = made(bench, "--from", str(DATA / name / "samples.jsonl"))
    assert task["scorer"]["type"] == scorer
