"""Columns of people's own names and types, samples that are left out, and inputs that are conversations."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from llm_tester.errors import TaskError
from llm_tester.evals.datasets import FieldMap, SamplesConfig, read_samples
from llm_tester.evals.samples import Sample
from llm_tester.evals.tasks import Task
from llm_tester.records import Message

if TYPE_CHECKING:
    from tests.evals.conftest import Bench

Read = Callable[..., list[Sample]]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Writes a file of samples and reads it with `fields` and options."""

    def run(content: str, name: str = "s.csv", *, fields: Any = None, **options: Any) -> list[Sample]:
        file = tmp_path / name
        file.write_text(content, "utf-8")
        config = SamplesConfig.model_validate({"file": name, **options})
        return list(read_samples(file, FieldMap.model_validate(fields or {}), config))

    return run


def refusal(call: Callable[[], Any]) -> TaskError:
    with pytest.raises(TaskError) as raised:
        call()
    return raised.value


# --- columns


def test_target_columns_may_get_keys_of_their_own(read: Read) -> None:
    fields = {"input": "Mail", "target": {"vendor": "Liefer\nant", "total": "Betrag (€)"}}
    found = read('Mail,"Liefer\nant",Betrag (€)\nx,A,5\n', fields=fields, types={"Betrag (€)": "number"})
    assert found[0].target == {"vendor": "A", "total": 5}
    with pytest.raises(ValueError, match="names no column"):
        FieldMap.model_validate({"target": {}})


def test_columns_may_be_metadata_for_prompts(bench: Bench) -> None:
    bench.write("tasks/t/s.csv", "q,a,Ask in,n\nx,1,German,5\n")
    fields = {"input": "q", "target": "a", "metadata": ["Ask in", "n"]}
    samples = {"file": "s.csv", "types": {"n": "integer"}}
    prompt = '{{ input }} {{ metadata["Ask in"] }} {{ metadata.n + 1 }}'
    bench.task("t", samples=None, prompt=prompt, fields=fields, scorer={"type": "numeric"})
    config = json.loads((bench.root / "tasks/t/task.json").read_text()) | {"samples": samples}
    task = Task.load(bench.write("tasks/t/task.json", config).parent)
    assert [task.messages(sample)[-1].content for sample in task.samples()] == ["x German 6"]


def test_cells_follow_the_output_schema_of_the_task(bench: Bench) -> None:
    bench.write("tasks/t/s.csv", "q,total,paid,note,items\nx,4.5,yes,,[1]\ny,,no,z,[]\n")
    columns = {"total": ["number", "null"], "paid": "boolean", "note": "string", "items": "array"}
    bench.write("tasks/t/schema.json", {"properties": {key: {"type": kind} for key, kind in columns.items()}})
    config = {
        "name": "t",
        "prompt": "{{ input }}",
        "samples": "s.csv",
        "fields": {"input": "q", "target": list(columns)},
        "output": {"schema": "schema.json"},
        "scorer": {"type": "fields"},
    }
    task = Task.load(bench.write("tasks/t/task.json", config).parent)
    assert [sample.target for sample in task.samples()] == [
        {"total": 4.5, "paid": True, "note": "", "items": [1]},
        {"total": None, "paid": False, "note": "z", "items": []},
    ]
    assert bench.cli("tasks", "check", "t").code == 0
    bench.write("tasks/t/s.csv", 'q,total,paid,note,items\n"two\nlines",4.5,yes,,[1]\ny,4;5,no,z,[]\n')
    said = bench.cli("tasks", "check", "t").error()
    assert 's.csv:4: column "total": "4;5" is not of the type number\n' in said


def test_declared_types_hold_for_texts_of_jsonl_too(read: Read) -> None:
    content = '{"id": "a", "q": "x", "n": "5"}\n{"id": "b", "q": "x", "n": 6}\n'
    found = read(content, "s.jsonl", fields={"input": "q", "target": "n"}, types={"n": "integer"})
    assert [sample.target for sample in found] == [5, 6]


def test_a_type_of_no_column_is_a_mistake(read: Read) -> None:
    error = refusal(lambda: read("q,total\nx,1\n", fields={"input": "q", "target": "total"}, types={"totl": "number"}))
    assert (error.message.endswith('s.csv:1: there is no column "totl"'), "Did you mean total?" in error.hint) == (1, 1)


# --- what is left out


def test_two_rows_that_say_the_same_are_a_mistake_or_left_out(read: Read) -> None:
    content = "input,target\na,1\nb,2\na,1\n"
    error = refusal(lambda: read(content))
    assert error.message.endswith("s.csv:4: has no id and says the same as line 2")
    assert '"skip": ["duplicates"]' in error.hint
    assert [sample.input for sample in read(content, skip=["duplicates"])] == ["a", "b"]
    assert len(read("id,input,target\n1,a,1\n1,a,1\n", skip=["duplicates"])) == 1
    error = refusal(lambda: read("id,input,target\n1,a,1\n1,b,1\n", skip=["duplicates"]))
    assert 's.csv:3: the id "1" was used in line 2 already' in error.message


def test_a_row_without_input_or_target_is_a_mistake_or_left_out(read: Read) -> None:
    content = "input,target\na,1\n ,2\nc,\n"
    assert "s.csv:3: the input is empty" in refusal(lambda: read(content)).message
    assert [sample.input for sample in read(content, skip=["empty"])] == ["a"]
    assert "holds no samples" in refusal(lambda: read("input,target\n,\n", skip=["empty"])).message


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("s.jsonl", {"delimiter": ";"}, '"delimiter" is an option of CSV files only'),
        ("s.csv", {"inputs": "x"}, '"inputs" is an option of folders only'),
        (".", {"delimiter": ";"}, '"delimiter" is an option of CSV files only'),
        (".", {"types": {"a": "text"}}, "is a folder, in which there are no columns"),
        ("none", {}, "there is no such file or folder"),
    ],
)
def test_an_option_of_another_kind_of_source_is_a_mistake(
    tmp_path: Path, name: str, options: dict[str, Any], said: str
) -> None:
    config = SamplesConfig.model_validate({"file": name, **options})
    assert said in refusal(lambda: list(read_samples(tmp_path / name, FieldMap(), config))).message


def test_mistakes_in_the_options_are_listed(bench: Bench) -> None:
    bench.task()
    config = json.loads((bench.root / "tasks/sums/task.json").read_text())
    for samples, said in (
        ({"file": "s.csv", "delimeter": ";"}, 'unknown key "delimeter". Did you mean delimiter?'),
        ({"file": "s.csv", "types": {"a": "nummer"}}, "samples.types.a: Input should be 'text', 'number'"),
        ({}, "samples.file: this key is required"),
    ):
        bench.write("tasks/sums/task.json", {**config, "samples": samples})
        assert said in bench.cli("tasks", "check", "sums").error()


# --- conversations

TALK = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Hi"},
    {"role": "assistant", "content": "Hello"},
    {"role": "user", "content": "2 + 2?"},
]
SPY = """
import json
from llm_tester import BaseLLM

class Spy(BaseLLM):
    def _call_llm_api(self, prompt, system_prompt, model_name, model_config):
        said = [[turn.role, turn.content] for turn in model_config.messages]
        return json.dumps(said) + " Answer: 4", {"input": 1, "output": 1}
"""


def test_a_list_of_messages_becomes_the_turns_of_the_request(bench: Bench) -> None:
    rows = [{"id": "a", "input": TALK, "target": 4}, {"id": "b", "input": "2 + 2?", "target": 4}]
    bench.task(samples=rows, system_prompt="You count.", prompt="Count: {{ input }}")
    bench.provider("spy", SPY)
    ended = bench.cli("run", "sums", "-m", "spy:m", "--json")
    assert ended.code == 0, ended.err
    assert ended.json["models"][0]["score"] == 1.0
    texts = dict(bench.sql("SELECT sample_id, text FROM answers JOIN calls USING (call) JOIN plan USING (position)"))
    said = {key: json.loads(text.removesuffix(" Answer: 4")) for key, text in texts.items()}
    assert said["a"] == [
        ["system", "You count.\n\nBe brief."],
        ["user", "Hi"],
        ["assistant", "Hello"],
        ["user", "Count: 2 + 2?"],
    ]
    assert said["b"] == [["system", "You count."], ["user", "Count: 2 + 2?"]]
    checked = bench.cli("tasks", "check", "sums")
    assert "user: Hi\n\nassistant: Hello\n\nuser: Count: 2 + 2?" in checked.out


def test_a_conversation_has_a_transcript_and_may_come_from_a_cell(read: Read) -> None:
    cell = json.dumps(TALK[1:]).replace('"', '""')
    fields = {"input": "chat", "target": "a"}
    (sample,) = read(f'chat,a\n"{cell}",4\n', fields=fields, types={"chat": "json"})
    assert sample.input == "user: Hi\n\nassistant: Hello\n\nuser: 2 + 2?"
    assert sample.turns == tuple(Message(turn["role"], turn["content"]) for turn in TALK[1:])  # type: ignore[arg-type]


def test_a_sample_s_own_prompt_goes_before_the_last_turn(bench: Bench) -> None:
    task = Task.load(bench.task(samples=[{"input": TALK, "target": 4, "prompt": "Now:"}]))
    (sample,) = task.samples()
    assert task.messages(sample)[-1] == Message("user", "Now:\n\n2 + 2?")


@pytest.mark.parametrize(
    ("turns", "said"),
    [
        ([], 'the last message of the input must have the role "user"'),
        (TALK[:3], 'the last message of the input must have the role "user"'),
        (["Hi"], 'input[0]: a message is an object with "role" and "content"'),
        ([{"role": "user"}], 'input[0]: a message is an object with "role" and "content"'),
        ([{"role": "user", "content": "x", "name": "y"}], 'input[0]: a message has no key "name"'),
        ([{"role": "usr", "content": "x"}], 'input[0].role: there is no role "usr"'),
        ([{"role": "user", "content": ["x"]}], "input[0].content: must be text, and not empty"),
        ([{"role": "user", "content": " "}], "input[0].content: must be text, and not empty"),
        ([TALK[1], TALK[0], TALK[3]], "input[1].role: a system message can only be the first"),
    ],
)
def test_a_conversation_that_cannot_be_is_a_mistake(read: Read, turns: list[Any], said: str) -> None:
    content = json.dumps({"input": turns, "target": 1})
    assert refusal(lambda: read(content, "s.jsonl")).message.endswith(f"s.jsonl:1: {said}")
