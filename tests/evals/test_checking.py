"""Tasks proved against themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from llm_tester.config import Workspace
from llm_tester.errors import TaskError
from llm_tester.evals import checking
from llm_tester.evals.checking import TaskCheck, check_task
from llm_tester.evals.tasks import Task, load_task

if TYPE_CHECKING:
    from tests.evals.conftest import Bench


def test_every_gold_of_a_sound_task_is_right_and_golds_of_others_are_wrong(bench: Bench) -> None:
    found = check_task(Task.load(bench.task(samples=10)))
    assert found == TaskCheck(10, "1 + 1?", (), 0.0, ())
    assert found.passed


@pytest.mark.parametrize("name", ["purchase_orders", "expense_claims", "word_problems"])
def test_the_bundled_tasks_are_sound(name: str) -> None:
    found = check_task(load_task(name, Workspace(None)))
    assert found.passed
    assert found.samples in (28, 30)
    assert found.chance is not None


def test_golds_that_are_alike_raise_the_chance_level_and_their_field_is_named(bench: Bench) -> None:
    rows = [{"id": f"s{n}", "input": "q", "target": {"currency": "EUR", "total": n}} for n in range(1, 31)]
    found = check_task(Task.load(bench.task("bills", rows, scorer={"type": "fields"})))
    assert (found.chance, found.causes) == (0.5, (("currency", 1.0),))
    assert found.passed


def test_the_chance_level_is_drawn_from_a_seed(bench: Bench) -> None:
    rows = [{"id": f"s{n}", "input": "q", "target": n % 3} for n in range(12)]
    task = Task.load(bench.task(samples=rows))
    assert check_task(task, seed=1) == check_task(task, seed=1)
    assert len({check_task(task, seed=seed).chance for seed in range(5)}) > 1


def test_one_sample_has_no_chance_level(bench: Bench) -> None:
    assert check_task(Task.load(bench.task(samples=1))).chance is None


def test_a_gold_that_is_no_right_answer_is_named(bench: Bench) -> None:
    rows = [{"id": "good", "input": "q", "target": "Paris"}, {"id": "odd", "input": "q", "target": "<think>x</think>"}]
    found = check_task(Task.load(bench.task(samples=rows, scorer={"type": "exact"})))
    assert found.imperfect == (("odd", 0.0),)
    assert not found.passed


def test_a_sample_that_is_malformed_ends_the_check(bench: Bench) -> None:
    with pytest.raises(TaskError, match='sample "s1"'):
        check_task(Task.load(bench.task(samples=[{"id": "s1", "input": "q", "target": "none"}])))


def test_every_prompt_variant_is_rendered(bench: Bench) -> None:
    task = Task.load(bench.task(prompts={"b": "{{ input }}{{ metadata.nowhere }}"}))
    with pytest.raises(TaskError, match="no attribute 'nowhere'"):
        check_task(task)


def test_of_a_large_task_an_even_draw_is_shuffled(bench: Bench) -> None:
    task = Task.load(bench.task(samples=checking.MOST + 50))
    found = check_task(task)
    assert (found.samples, found.chance, found.passed) == (checking.MOST + 50, 0.0, True)


def test_a_rule_for_a_field_that_no_gold_has_is_named(bench: Bench) -> None:
    rules = {"total": {"type": "number"}, "totl": {"type": "number"}, "items[].price": {"type": "number"}}
    rows = [{"id": "s1", "input": "q", "target": {"total": 1, "items": [{"price": 2}]}}]
    found = check_task(Task.load(bench.task("bills", rows, scorer={"type": "fields", "fields": rules})))
    assert found.unused_rules == ("totl",)
    told = 'no gold has "totl", which a rule or a weight of the scorer names. Did you mean total?'
    assert found.rule_notes == (told,)


@pytest.mark.parametrize(("labels", "majority", "warned"), [("abc" * 10, 1 / 3, False), ("aaaaaaaabc" * 3, 0.8, True)])
def test_of_a_choice_only_more_than_an_even_share_is_a_reward(
    bench: Bench, labels: str, majority: float, warned: bool
) -> None:
    rows = [{"id": f"s{n}", "input": "q", "target": label} for n, label in enumerate(labels)]
    folder = bench.task("labels", rows, scorer={"type": "choice", "choices": ["a", "b", "c"]})
    found = check_task(Task.load(folder))
    assert found.majority is not None
    assert (found.majority[0], found.choices) == ("a", 3)
    assert found.majority[1] == pytest.approx(majority)
    said = bench.cli("tasks", "check", "labels").out
    assert f'To answer "a", the most frequent of 3 choices, always: {majority:.3f}.' in said
    assert ("Warning: that is above 0.38: guessing is rewarded." in said) == warned
