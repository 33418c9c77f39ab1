"""`tasks list`, `tasks check`, `tasks new`."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.evals.conftest import Bench


def test_the_list_names_the_workspace_s_tasks_and_the_bundled_ones(bench: Bench) -> None:
    bench.task("mine", description="My sums")
    bench.write("tasks/broken/task.json", '{"name": "broken"}')
    rows = bench.cli("tasks", "list", "--json").json
    assert [row["name"] for row in rows] == ["broken", "mine", "expense_claims", "purchase_orders", "word_problems"]
    assert rows[1] == {
        "name": "mine",
        "source": "workspace",
        "folder": str(bench.root / "tasks" / "mine"),
        "scorer": "numeric",
        "description": "My sums",
    }
    assert rows[0]["description"].startswith("broken: ")
    shown = bench.cli("tasks", "list")
    assert shown.code == 0
    assert "My sums" in shown.out
    assert "prompt: this key is required" in " ".join(shown.out.split())


def test_a_sound_task_is_shown_with_its_first_prompt(bench: Bench) -> None:
    bench.task(prompt="What is {{ input }}", samples=30)
    ended = bench.cli("tasks", "check", "sums")
    assert ended.code == 0
    assert ended.out == (
        "sums: 30 samples. The first prompt:\n\nWhat is 1 + 1?\n\n"
        "Every gold satisfies its schema and scores 1.000 against itself.\n"
        "Golds shuffled among samples score 0.000.\n"
    )


def test_golds_that_are_alike_are_warned_of_by_field(bench: Bench) -> None:
    rows = [{"id": f"s{n}", "input": "q", "target": {"currency": "EUR", "total": n}} for n in range(1, 31)]
    bench.task("bills", rows, scorer={"type": "fields"})
    ended = bench.cli("tasks", "check", "bills")
    assert ended.code == 0
    assert "Warning: that is above 0.05: guessing is rewarded. currency (100% alike)\n" in ended.out
    bench.task(samples=[{"id": f"s{n}", "input": "q", "target": 1} for n in range(3)])
    assert "score 1.000.\nWarning: that is above 0.05: guessing is rewarded." in bench.cli("tasks", "check", "sums").out


def test_one_sample_has_no_chance_level(bench: Bench) -> None:
    bench.task(samples=1)
    assert "shuffled" not in bench.cli("tasks", "check", "sums").out


def test_a_gold_that_is_no_right_answer_ends_with_1(bench: Bench) -> None:
    rows = [{"id": "odd", "input": "q", "target": "<think>x</think>"}, {"id": "good", "input": "q", "target": "y"}]
    bench.task(samples=rows, scorer={"type": "exact"})
    ended = bench.cli("tasks", "check", "sums")
    assert ended.code == 1
    assert 'The gold of "odd" scores 0.000 against itself, not 1.\n' in ended.out
    assert "Every gold" not in ended.out


def test_a_broken_task_is_an_error(bench: Bench) -> None:
    bench.write("tasks/broken/task.json", '{"name": "broken",}')
    assert "task.json:1: not valid JSON" in bench.cli("tasks", "check", "broken").error()
    assert "Did you mean word_problems?" in bench.cli("tasks", "check", "word_problem").error()


def test_a_new_task_is_made_and_passes_its_check(bench: Bench) -> None:
    ended = bench.cli("tasks", "new", "mine")
    assert ended.code == 0
    assert ended.out == (
        f"made {bench.root}/tasks/mine/\n"
        "Next: llm-tester tasks check mine, then llm-tester run mine -m provider:model\n"
    )
    assert bench.cli("tasks", "check", "mine").code == 0
    assert "exists already" in bench.cli("tasks", "new", "mine").error()
    assert "cannot be a task's name" in bench.cli("tasks", "new", "../mine").error()


# --- parameters that look misspelt


def test_a_parameter_near_a_known_one_is_warned_of(bench: Bench) -> None:
    bench.task(parameters={"max_token": 5, "mirostat": 2})
    ended = bench.cli("tasks", "check", "sums")
    assert ended.code == 0
    assert "Warning: parameters: max_token: did you mean max_tokens? It is sent as it is.\n" in ended.out
    assert "mirostat" not in ended.out


def test_so_it_is_in_the_header_of_a_run_once_for_tasks_and_entrants(bench: Bench) -> None:
    bench.task(parameters={"max_token": 5})
    bench.replay("rep", {"good": {"s1": "2", "s2": "3", "s3": "4"}})
    ended = bench.cli("run", "sums", "-m", "rep:good", "--params", '{"temprature": 0}', "--params", '{"temprature": 1}')
    assert ended.code == 0
    assert ended.out.count("  temprature: did you mean temperature? It is sent as it is.\n") == 1
    assert ended.out.count("  max_token: did you mean max_tokens? It is sent as it is.\n") == 1


def test_a_name_that_is_not_the_folder_s_is_warned_of(bench: Bench) -> None:
    folder = bench.task(samples=30)
    assert "Warning" not in bench.cli("tasks", "check", "sums").out
    folder.rename(folder.with_name("more"))
    said = bench.cli("tasks", "check", "more").out
    assert 'Warning: the task is called "sums", and its folder "more", by which it is found.\n' in said
