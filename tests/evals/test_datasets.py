"""Samples from JSONL and CSV files."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from llm_tester.errors import TaskError
from llm_tester.evals.datasets import FieldMap, read_samples
from llm_tester.evals.samples import Sample

BOM = b"\xef\xbb\xbf"


@pytest.fixture
def read(tmp_path: Path) -> Callable[..., list[Sample]]:
    """Writes a file of samples and reads it."""

    def run(content: str | bytes, name: str = "samples.jsonl", **columns: Any) -> list[Sample]:
        (tmp_path / name).write_bytes(content.encode() if isinstance(content, str) else content)
        return list(read_samples(tmp_path / name, FieldMap.model_validate(columns)))

    return run


Read = Callable[..., list[Sample]]


def test_a_sample_of_jsonl_holds_what_its_line_says(read: Read) -> None:
    line = {"id": 7, "input": "q", "target": {"a": [1]}, "prompt": "p", "files": ["f"], "metadata": {"k": 1}}
    assert read(json.dumps(line)) == [Sample("7", "q", {"a": [1]}, "p", ("f",), {"k": 1})]


def test_blank_lines_line_ends_and_the_byte_order_mark_do_not_matter(read: Read) -> None:
    content = BOM + b'{"id": "a", "input": "q", "target": 1}\r\n\r\n   \n{"id": "b", "input": "q", "target": 2}'
    assert [(sample.id, sample.target) for sample in read(content)] == [("a", 1), ("b", 2)]


def test_source_and_expected_are_input_and_target(read: Read) -> None:
    assert read('{"id": "a", "source": "q", "expected": "x"}') == [Sample("a", "q", "x")]
    assert read("id,source,expected\na,q,x\n", "s.csv") == [Sample("a", "q", "x")]


def test_csv_cells_may_hold_lines_commas_and_quotes(read: Read) -> None:
    content = BOM + 'id,input,target\n1,"two\nlines, ""quoted""",x\n\n2,ü,y\n'.encode()
    assert read(content, "S.CSV") == [Sample("1", 'two\nlines, "quoted"', "x"), Sample("2", "ü", "y")]


def test_an_empty_prompt_cell_is_no_prompt(read: Read) -> None:
    assert [sample.prompt for sample in read("input,target,prompt\na,1,\nb,2,Do.\n", "s.csv")] == [None, "Do."]


def test_columns_are_mapped_by_name(read: Read) -> None:
    content = "nr,text,vendor,total,more\n1,Hello,Acme,,z\n"
    found = read(content, "s.csv", id="nr", input="text", target=["vendor", "total"])
    assert found == [Sample("1", "Hello", {"vendor": "Acme", "total": None})]
    assert read(content, "s.csv", input="text", target="vendor")[0].target == "Acme"


def test_the_id_alone_may_have_a_column_of_its_own(read: Read) -> None:
    content = '{"key": "k1", "input": "q", "target": 1, "metadata": {"a": 1}}'
    assert read(content, id="key") == [Sample("k1", "q", 1, metadata={"a": 1})]


def test_a_sample_without_an_id_is_named_by_its_content(read: Read) -> None:
    first, second = read('{"input": "q", "target": 1}\n{"id": "", "input": "q", "target": 2}')
    assert len(first.id) == 16
    assert first.id != second.id
    assert read('{"target": 1, "input": "q"}')[0].id == first.id


def test_samples_are_streamed(tmp_path: Path) -> None:
    """The first comes before the mistake in the second is seen."""
    file = tmp_path / "s.jsonl"
    file.write_text('{"id": "a", "input": "q", "target": 1}\nbroken\n')
    samples = read_samples(file, FieldMap())
    assert next(samples).id == "a"
    with pytest.raises(TaskError, match=r"s\.jsonl:2: not valid JSON"):
        next(samples)


GOOD = '{"id": "a", "input": "q", "target": 1}\n'


@pytest.mark.parametrize(
    ("content", "place", "problem", "hint"),
    [
        (GOOD + '{"id": "b"', ":2", "not valid JSON: Expecting ',' delimiter", "double quotes"),
        (GOOD + '{"id": "b"\n' + GOOD, ":2", "not valid JSON: Expecting ',' delimiter", "double quotes"),
        (GOOD + "NaN", ":2", "NaN is not a JSON value", ""),
        (GOOD + "[1]", ":2", "a sample is a JSON object", ""),
        ('{"id": "a", "id": "b"}', ":1", 'the key "id" stands twice', "Remove one"),
        (GOOD + "\n" + GOOD, ":3", 'the id "a" was used in line 1 already', "an id of its own"),
        ('{"inptu": "q", "target": 1}', ":1", 'no key "inptu". Did you mean input?', '"fields" in task.json'),
        ('{"target": 1}', ":1", "the sample has no input", 'Add "input"'),
        ('{"input": "q"}', ":1", "the sample has no target", 'Add "target"'),
        ('{"input": "q", "target": null}', ":1", "the target is empty", "cannot be scored"),
        ('{"input": "q", "target": ""}', ":1", "the target is empty", "cannot be scored"),
        ('{"input": 5, "target": 1}', ":1", "input must be text", ""),
        ('{"id": true, "input": "q", "target": 1}', ":1", "id must be text or a whole number", ""),
        ('{"id": 1.5, "input": "q", "target": 1}', ":1", "id must be text or a whole number", ""),
        ('{"input": "q", "target": 1, "prompt": 5}', ":1", "prompt must be text", ""),
        ('{"input": "q", "target": 1, "metadata": []}', ":1", "metadata must be an object", ""),
        ('{"input": "q", "target": 1, "files": 5}', ":1", "files must be a list of file names", ""),
        ('{"input": "q", "target": 1, "files": "a.png"}', ":1", "files must be a list of file names", ""),
        ('{"input": "q", "target": 1, "files": [5]}', ":1", "files must be a list of file names", ""),
        ('{"input": "half \\ud83d", "target": 1}', ":1", "half of a surrogate pair", "the whole pair"),
        ("", "", "holds no samples", "at least one"),
        ("\n \n", "", "holds no samples", "at least one"),
        (GOOD.encode() + b'{"id": "\xff"}', ":2", "not UTF-8 text", "as UTF-8"),
        (GOOD.encode("utf-16"), ":1", "not UTF-8 text", "as UTF-8"),
        ("[" * 100_000, ":1", "nested too deeply", ""),
    ],
)
def test_a_mistake_is_named_by_file_and_line(
    read: Read, tmp_path: Path, content: str | bytes, place: str, problem: str, hint: str
) -> None:
    with pytest.raises(TaskError) as raised:
        read(content)
    assert raised.value.message.startswith(f"{tmp_path / 'samples.jsonl'}{place}: ")
    assert problem in raised.value.message
    assert hint in raised.value.hint


def test_a_whole_surrogate_pair_is_text(read: Read) -> None:
    assert read('{"id": "a", "input": "\\ud83d\\ude00", "target": 1}')[0].input == "\U0001f600"


@pytest.mark.parametrize(
    ("content", "columns", "place", "problem"),
    [
        ("input,target\na,1\nb\n", {}, ":3", "not as many cells as the header has columns (2)"),
        ("input,target\na,1,z\n", {}, ":2", "not as many cells as the header has columns (2)"),
        ("input,input\na,1\n", {}, ":1", "a column name stands twice"),
        ('input,target\na,1\n"b,1\nc,1\n', {}, ":3", "not valid CSV: unexpected end of data"),
        ("input,target\n", {}, "", "holds no samples"),
        ("", {}, "", "holds no samples"),
        ("input,label\na,1\n", {}, ":2", 'no key "label"'),
        ("text,target\na,1\n", {"input": "txet"}, ":1", 'there is no column "txet"'),
        ("text,total\na,1\n", {"input": "text", "target": ["totl"]}, ":1", 'there is no column "totl"'),
        ("text,key\na,1\n", {"input": "text", "target": "key", "id": "kay"}, ":1", 'there is no column "kay"'),
    ],
)
def test_a_mistake_in_csv_is_named_by_file_and_line(
    read: Read, tmp_path: Path, content: str, columns: dict[str, Any], place: str, problem: str
) -> None:
    with pytest.raises(TaskError) as raised:
        read(content, "s.csv", **columns)
    assert raised.value.message.startswith(f"{tmp_path / 's.csv'}{place}: ")
    assert problem in raised.value.message


def test_a_column_that_is_missing_brings_near_names(read: Read) -> None:
    with pytest.raises(TaskError) as raised:
        read("body,label\na,1\n", "s.csv", input="bdoy", target="label")
    assert raised.value.hint == "Did you mean body? The columns are: 'body', 'label'."


def test_a_file_of_another_kind_or_none_at_all_is_refused(read: Read, tmp_path: Path) -> None:
    with pytest.raises(TaskError, match=r"samples are read from \.jsonl, \.csv and \.tsv files and from folders"):
        read("x", "s.xlsx")
    with pytest.raises(TaskError, match=r"nowhere\.csv: the samples cannot be read: No such file"):
        list(read_samples(tmp_path / "nowhere.csv", FieldMap()))
