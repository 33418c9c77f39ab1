"""Task folders: what task.json may say, prompts and their templates, golds, and how tasks are found."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from llm_tester.config import Workspace
from llm_tester.errors import ConfigurationError, TaskError
from llm_tester.evals.samples import Sample
from llm_tester.evals.tasks import Task, find_tasks, load_task
from llm_tester.llms.provider_factory import builtin_folder
from llm_tester.records import Message

if TYPE_CHECKING:
    from tests.evals.conftest import Bench

SAMPLE = Sample("s1", "1 + 1?", 2, metadata={"unit": "m"})


@pytest.fixture
def task(bench: Bench) -> Callable[..., Task]:
    """Makes a task and loads it."""
    return lambda **config: Task.load(bench.task(**config))


Make = Callable[..., Task]


def problem(make: Callable[[], Any]) -> TaskError:
    with pytest.raises(TaskError) as raised:
        make()
    return raised.value


# --- task.json


def test_a_task_needs_a_name_a_prompt_and_a_scorer(task: Make, bench: Bench) -> None:
    made = task()
    assert (made.name, made.folder, made.samples_file.name) == ("sums", bench.root / "tasks/sums", "samples.jsonl")
    assert [sample.target for sample in made.samples()] == [2, 3, 4]


def test_every_mistake_is_listed_with_its_json_path(task: Make) -> None:
    error = problem(
        lambda: task(
            name="sums",
            descriptoin="x",
            fields={"inptu": "a"},
            output={"shema": "s.json"},
            scorer={"type": "fields", "fields": {"total": {"type": "number", "tolerance": -1}}},
            parameters=5,
        )
    )
    lines = error.message.splitlines()
    assert lines[0].endswith("tasks/sums/task.json: ")
    assert sorted(line.strip().partition(":")[0] for line in lines[1:]) == [
        "descriptoin",
        "fields.inptu",
        "output.shema",
        "parameters",
        "scorer.fields.total.tolerance",
    ]
    assert 'descriptoin: unknown key "descriptoin". Did you mean description?' in error.message
    assert 'fields.inptu: unknown key "inptu". Did you mean input?' in error.message
    assert 'output.shema: unknown key "shema". Did you mean schema?' in error.message
    assert error.hint == "Mend task.json at the place named."


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "task.json:1: not valid JSON"),
        ('{"name": "a",\n"name": "b"}', 'task.json:2: the key "name" stands twice'),
        ("[]", "task.json: expected a JSON object"),
        ("{}", "name: this key is required"),
        ('{"name": "../x", "prompt": "{{ input }}", "scorer": {"type": "exact"}}', "task.json: name: "),
        ('{"name": "x", "prompt": "{{ input }}", "scorer": {"type": "exaxt"}}', "task.json: scorer: "),
        (
            '{"name": "x", "prompt": {"flie": "p"}, "scorer": {"type": "exact"}}',
            'unknown key "flie". Did you mean file?',
        ),
    ],
)
def test_a_file_that_cannot_be_read_as_a_task_is_named(bench: Bench, content: str, said: str) -> None:
    assert said in problem(lambda: Task.load(bench.write("tasks/x/task.json", content).parent)).message


def test_a_byte_order_mark_is_fine(bench: Bench) -> None:
    folder = bench.task()
    (folder / "task.json").write_bytes(b"\xef\xbb\xbf" + (folder / "task.json").read_bytes())
    assert Task.load(folder).name == "sums"


# --- prompts


def test_a_prompt_holds_input_id_and_metadata(task: Make) -> None:
    made = task(prompt="{{ id }}: {{ input }} in {{ metadata.unit }}\n", system_prompt="Be brief.")
    assert made.messages(SAMPLE) == (Message("system", "Be brief."), Message("user", "s1: 1 + 1? in m\n"))


def test_a_prompt_may_loop_and_count(task: Make) -> None:
    made = task(prompt="{% for n in range(2) %}{{ n }}{% endfor %}{% set x = input %}{{ x }}")
    assert made.messages(SAMPLE) == (Message("user", "011 + 1?"),)


def test_a_prompt_may_stand_in_a_file_and_have_variants(bench: Bench) -> None:
    bench.write("tasks/sums/long.txt", b"\xef\xbb\xbfLong: {{ input }}")
    made = Task.load(bench.task(prompt={"file": "long.txt"}, prompts={"b": "B {{ input }}", "c": {"file": "long.txt"}}))
    contents = [made.messages(SAMPLE, variant)[0].content for variant in ("", "b", "c")]
    assert contents == ["Long: 1 + 1?", "B 1 + 1?", "Long: 1 + 1?"]
    with pytest.raises(ConfigurationError) as raised:
        made.messages(SAMPLE, "bb")
    assert (raised.value.message, raised.value.hint) == ('the task "sums" has no prompt "bb"', "Did you mean b?")


def test_a_sample_s_own_prompt_is_literal_text(task: Make) -> None:
    own = Sample("s", "in", 1, prompt="Say {{ input }}.")
    assert task(prompts={"b": "B {{ input }}"}).messages(own, "b") == (Message("user", "Say {{ input }}.\n\nin"),)


def test_an_input_is_never_a_template(task: Make) -> None:
    assert task().messages(Sample("s", "{{ 1 + 1 }}", 1))[0].content == "{{ 1 + 1 }}"


@pytest.mark.parametrize(
    ("prompt", "said"),
    [
        ("{{ input", "not a Jinja2 template: "),
        ("{{ input | nofilter }}", "not a Jinja2 template: No filter named 'nofilter'"),
        ("{{ inptu }} {{ input }}", 'there is no "inptu" to fill in'),
        ("no place", "{{ input }} does not stand in it"),
    ],
)
def test_a_template_that_cannot_work_is_refused_before_any_sample(task: Make, prompt: str, said: str) -> None:
    assert f"task.json: prompt: {said}" in problem(lambda: task(prompt=prompt)).message
    assert f"task.json: prompts.b: {said}" in problem(lambda: task(prompts={"b": prompt})).message


@pytest.mark.parametrize(
    ("prompt", "said"),
    [
        ("{{ input }}{{ metadata.nowhere }}", "'dict object' has no attribute 'nowhere'"),
        ("{{ input }}{{ 1 / 0 }}", "ZeroDivisionError: division by zero"),
        ("{{ input }}{% include 'x' %}", "TypeError: no loader"),
        ("{{ input }}{{ input.__class__.__mro__ }}", "access to attribute '__class__' of 'str' object is unsafe"),
        ("{{ input }}{% for n in range(999999999) %}{% endfor %}", "OverflowError: Range too big"),
    ],
)
def test_a_template_is_sandboxed_and_what_it_raises_names_the_sample(task: Make, prompt: str, said: str) -> None:
    made = task(prompt=prompt)
    message = problem(lambda: made.messages(SAMPLE)).message
    assert f'task.json: prompt, sample "s1": {said}' in message


def test_a_prompt_file_that_is_not_there_is_named(task: Make) -> None:
    assert "tasks/sums/p.txt: there is no such file" in problem(lambda: task(prompt={"file": "p.txt"})).message


# --- golds


def test_a_gold_must_fit_the_scorer_and_the_schema(bench: Bench) -> None:
    numeric = Task.load(bench.task())
    said = problem(lambda: numeric.check_gold(Sample("s1", "q", "no number"))).message
    assert said.startswith(f'{numeric.samples_file}: sample "s1": ')
    bench.write("tasks/bills/schema.json", {"properties": {"a": {"type": "number"}}, "required": ["b"]})
    bills = Task.load(bench.task("bills", scorer={"type": "fields"}, output={"schema": "schema.json"}))
    bills.check_gold(Sample("s1", "q", {"a": 1, "b": 2}))
    said = problem(lambda: bills.check_gold(Sample("s1", "q", {"a": "x"}))).message
    assert (
        "sample \"s1\": the target breaks the output schema: a: 'x' is not of type 'number'; (the whole): 'b'" in said
    )


def test_json_in_a_csv_cell_is_a_target_of_the_fields_scorer_only(bench: Bench) -> None:
    config = {"name": "bills", "prompt": "{{ input }}", "samples": "s.csv"}
    bench.write("tasks/bills/s.csv", 'id,input,target\n1,q,"{""a"": 1}"\n')
    folder = bench.write("tasks/bills/task.json", {**config, "scorer": {"type": "fields"}}).parent
    assert [sample.target for sample in Task.load(folder).samples()] == [{"a": 1}]
    exact = bench.write("tasks/bills/task.json", {**config, "scorer": {"type": "exact"}}).parent
    assert [sample.target for sample in Task.load(exact).samples()] == ['{"a": 1}']


# --- the hash, and what the ledger keeps


def test_the_hash_follows_all_that_decides_on_questions_and_scores(bench: Bench) -> None:
    def changed(**config: Any) -> str:
        return Task.load(bench.task(**config)).hash

    bench.write("tasks/sums/schema.json", {"type": "object"})
    base = changed()
    assert changed(description="words only") == base
    assert changed(samples=5) == base
    variants: list[dict[str, Any]] = [
        {"prompt": "Q: {{ input }}"},
        {"prompts": {"b": "B {{ input }}"}},
        {"system_prompt": "S"},
        {"parameters": {"temperature": 1}},
        {"scorer": {"type": "numeric", "tolerance": 1}},
        {"scorer": {"type": "exact"}},
        {"output": {"schema": "schema.json"}},
    ]
    hashes = [changed(**config) for config in variants]
    bench.write("tasks/sums/schema.json", {"type": "array"})
    hashes.append(changed(output={"schema": "schema.json"}))
    bench.write("tasks/sums/p.txt", "one {{ input }}")
    hashes.append(changed(prompt={"file": "p.txt"}))
    bench.write("tasks/sums/p.txt", "two {{ input }}")
    hashes.append(changed(prompt={"file": "p.txt"}))
    assert len({base, *hashes}) == 1 + len(hashes)


def test_the_spec_is_json_with_the_texts_of_the_prompts(bench: Bench) -> None:
    bench.write("tasks/sums/p.txt", "P {{ input }}")
    spec = json.loads(json.dumps(Task.load(bench.task(prompt={"file": "p.txt"})).spec()))
    assert spec["prompts"] == {"": "P {{ input }}"}
    assert spec["json_schema"] is None


# --- finding


def test_a_workspace_s_tasks_come_before_the_bundled_ones(bench: Bench) -> None:
    bench.task("sums")
    shutil.copytree(builtin_folder("tasks") / "word_problems", bench.root / "tasks" / "word_problems")
    bench.write("tasks/broken/task.json", "{")
    bench.write("tasks/no_task/readme.txt", "x")
    found = find_tasks(Workspace.open(bench.root))
    assert {name: entry.source for name, entry in found.items()} == {
        "broken": "workspace",
        "sums": "workspace",
        "word_problems": "workspace",
        "expense_claims": "built in",
        "purchase_orders": "built in",
    }
    assert found["broken"].task is None
    assert "not valid JSON" in str(found["broken"].problem)
    assert list(find_tasks(Workspace(None))) == ["expense_claims", "purchase_orders", "word_problems"]


def test_a_task_is_loaded_by_name_or_by_folder(bench: Bench, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    folder = bench.task("sums")
    here = Workspace.open(bench.root)
    assert load_task("sums", here).folder == folder
    assert load_task(str(folder), Workspace(None)).folder == folder
    monkeypatch.chdir(folder.parent)
    assert load_task("sums", Workspace(None)).folder == folder
    monkeypatch.chdir(folder)
    assert load_task(".", Workspace(None)).folder == folder
    error = problem(lambda: load_task("smus", here))
    assert (error.message, error.hint) == ('there is no task "smus"', "Did you mean sums?")
    assert "there is no task.json in this folder" in problem(lambda: load_task(str(tmp_path / "x"), here)).message
    bench.write("tasks/broken/task.json", "{")
    assert "not valid JSON" in problem(lambda: load_task("broken", here)).message


def test_of_a_task_that_is_loaded_by_name_no_other_one_s_code_is_run(bench: Bench) -> None:
    folder = bench.task("sums")
    mark = bench.root / "ran"
    bench.write("tasks/other/model.py", f"from pathlib import Path\nPath({str(mark)!r}).touch()\n")
    bench.task("other", output={"model": "model.py"})
    here = Workspace.open(bench.root)
    assert load_task("sums", here).folder == folder
    assert not mark.exists()
    assert find_tasks(here)["other"].problem is not None
    assert mark.exists()
