"""Every gold that cannot be a right answer, told at once."""

from __future__ import annotations

from collections.abc import Iterator

from llm_tester.errors import TaskError
from llm_tester.evals.samples import Sample
from llm_tester.evals.tasks import Task

MOST_TOLD = 10


def sound_samples(task: Task) -> Iterator[Sample]:
    """The samples whose golds can be right answers; at the end raises TaskError that tells of all others."""
    problems: list[TaskError] = []
    more = 0
    try:
        for sample in task.samples():
            try:
                task.check_gold(sample)
            except TaskError as problem:
                more += len(problems) == MOST_TOLD
                problems += [problem][: MOST_TOLD - len(problems)]
            else:
                yield sample
    except TaskError as problem:
        problems.append(problem)
    if problems:
        raise _together(problems, more)


def _together(problems: list[TaskError], more: int) -> TaskError:
    if len(problems) == 1:
        return problems[0]
    lines = [problem.message for problem in problems] + ([f"and {more:,} more"] if more else [])
    listed = "".join(f"\n  {line}" for line in lines)
    return TaskError(f"{len(problems) + more:,} samples cannot be used:{listed}", hint=problems[0].hint)
