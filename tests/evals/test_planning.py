"""The order of a run, its share of every task, and the hashes of its samples."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import pytest

from llm_tester.errors import ConfigurationError, TaskError
from llm_tester.evals.entrants import Entrant
from llm_tester.evals.planning import HELD, TaskPlan, plan_tasks, planned_samples, survey
from llm_tester.evals.tasks import Task

if TYPE_CHECKING:
    from tests.evals.conftest import Bench

ONE = [Entrant("e", "mock", "m")]


def order(plans: Iterable[TaskPlan]) -> list[str]:
    """The ids in the order of the run, headed by the task's name."""
    placed = [(item.position, f"{plan.task.name}/{item.sample.id}") for plan in plans for item in planned_samples(plan)]
    return [name for _, name in sorted(placed)]


def test_the_order_is_a_seeded_shuffle_that_stays(bench: Bench) -> None:
    task = Task.load(bench.task(samples=8))
    first = order(plan_tasks([task], ONE, limit=None, seed=0))
    # Pinned: a resumed or repeated run must not depend on the version of this program.
    assert first == [f"sums/s{n}" for n in (2, 5, 4, 8, 6, 3, 1, 7)]
    assert order(plan_tasks([Task.load(task.folder)], ONE, limit=None, seed=0)) == first
    other = order(plan_tasks([task], ONE, limit=None, seed=1))
    assert other != first
    assert sorted(other) == sorted(first)


@pytest.mark.parametrize("limit", [1, 2, 5, 19])
def test_a_limited_run_is_the_beginning_of_the_longer_one(bench: Bench, limit: int) -> None:
    task = Task.load(bench.task(samples=20))
    whole = order(plan_tasks([task], ONE, limit=None, seed=3))
    (plan,) = plan_tasks([task], ONE, limit=limit, seed=3)
    assert order([plan]) == whole[:limit]
    assert (plan.total, plan.planned) == (20, limit)


def test_a_limit_above_the_number_of_samples_takes_them_all(bench: Bench) -> None:
    (plan,) = plan_tasks([Task.load(bench.task(samples=3))], ONE, limit=99, seed=0)
    assert plan.planned == 3


def test_every_stretch_of_a_run_has_its_share_of_every_task(bench: Bench) -> None:
    sizes = {"small": 4, "middle": 8, "large": 16}
    tasks = [Task.load(bench.task(name, samples)) for name, samples in sizes.items()]
    plans = plan_tasks(tasks, ONE, limit=None, seed=0)
    places = sorted(place for plan in plans for place in plan.places)
    assert places == list(range(28))
    names = [name.partition("/")[0] for name in order(plans)]
    for start in range(0, 28, 7):
        stretch = names[start : start + 7]
        assert [stretch.count(name) for name in sizes] == [1, 2, 4]


def test_the_order_of_one_task_does_not_depend_on_the_others(bench: Bench) -> None:
    first, second = Task.load(bench.task("first", 6)), Task.load(bench.task("second", 9))
    alone = order(plan_tasks([first], ONE, limit=None, seed=0))
    together = order(plan_tasks([second, first], ONE, limit=None, seed=0))
    assert [name for name in together if name.startswith("first")] == alone


def hashes(bench: Bench, samples: Iterable[Mapping[str, Any]], **config: Any) -> dict[str, str]:
    (plan,) = plan_tasks([Task.load(bench.task(samples=samples, **config))], ONE, limit=None, seed=0)
    return {item.sample.id: item.hash for item in planned_samples(plan)}


def test_a_sample_s_hash_is_that_of_its_rendered_prompt_and_target(bench: Bench) -> None:
    sample = {"id": "a", "input": "q", "target": 1}
    base = hashes(bench, [sample])["a"]
    assert hashes(bench, [{**sample, "id": "b"}, {"id": "c", "input": "z", "target": 1}])["b"] == base
    changed = [
        hashes(bench, [{**sample, "input": "r"}]),
        hashes(bench, [{**sample, "target": 2}]),
        hashes(bench, [{**sample, "prompt": "p"}]),
        hashes(bench, [sample], prompt="Q: {{ input }}"),
        hashes(bench, [sample], system_prompt="S"),
    ]
    assert len({base, *(found["a"] for found in changed)}) == 6


def test_the_hash_of_all_samples_follows_every_field_and_the_order(bench: Bench) -> None:
    first = {"id": "a", "input": "q", "target": 1}
    second = {"id": "b", "input": "r", "target": 2}

    def surveyed(*samples: Mapping[str, Any]) -> str:
        found = survey(Task.load(bench.task(samples=samples)), [""])
        assert found.total == len(samples)
        return found.samples_hash

    base = surveyed(first, second)
    assert surveyed(first, second) == base
    others = [
        surveyed(second, first),
        surveyed(first),
        surveyed({**first, "id": "c"}, second),
        surveyed({**first, "input": "s"}, second),
        surveyed({**first, "target": 3}, second),
        surveyed({**first, "prompt": "p"}, second),
        surveyed({**first, "files": ["f"]}, second),
        surveyed({**first, "metadata": {"m": 1}}, second),
    ]
    assert len({base, *others}) == 9


def test_every_prompt_variant_of_the_entrants_is_planned(bench: Bench) -> None:
    task = Task.load(bench.task(samples=2, prompts={"b": "B {{ input }}", "unused": "U {{ input }}"}))
    entrants = [Entrant("x", "mock", "m"), Entrant("y", "mock", "m", {}, "b"), Entrant("z", "mock", "n")]
    (plan,) = plan_tasks([task], entrants, limit=None, seed=0)
    assert plan.variants == ("", "b")
    contents = {(item.sample.id, item.variant): item.messages[0].content for item in planned_samples(plan)}
    assert contents == {
        ("s1", ""): "1 + 1?",
        ("s1", "b"): "B 1 + 1?",
        ("s2", ""): "2 + 1?",
        ("s2", "b"): "B 2 + 1?",
    }
    with pytest.raises(ConfigurationError, match='no prompt "c"'):
        plan_tasks([task], [Entrant("x", "mock", "m", {}, "c")], limit=None, seed=0)


LARGE = "x" * (HELD // 2)


@pytest.mark.parametrize(
    ("large", "read_again"), [({}, False), ({"input": LARGE}, True), ({"metadata": {"notes": LARGE}}, True)]
)
def test_large_samples_are_read_again_small_ones_are_not(bench: Bench, large: dict[str, Any], read_again: bool) -> None:
    def rows(target: int) -> list[dict[str, Any]]:
        return [{"id": f"s{n}", "input": "x", "target": target, **large} for n in range(3)]

    folder = bench.task(samples=rows(1))
    (plan,) = plan_tasks([Task.load(folder)], ONE, limit=None, seed=0)
    assert {item.sample.target for item in planned_samples(plan)} == {1}
    bench.lines("tasks/sums/samples.jsonl", rows(2))
    assert {item.sample.target for item in planned_samples(plan)} == {2 if read_again else 1}


def test_samples_that_a_limit_leaves_out_are_checked_too(bench: Bench) -> None:
    rows = [{"id": f"s{n}", "input": "q", "target": 1 if n < 9 else "no number"} for n in range(10)]
    with pytest.raises(TaskError, match='sample "s9"'):
        plan_tasks([Task.load(bench.task(samples=rows))], ONE, limit=1, seed=0)
