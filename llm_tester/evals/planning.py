"""What a run will do, before anything is written: every sample checked, hashed and put in a seeded order."""

from __future__ import annotations

import hashlib
import random
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from llm_tester.evals.entrants import Entrant
from llm_tester.evals.golds import sound_samples
from llm_tester.evals.samples import Sample
from llm_tester.evals.tasks import Task
from llm_tester.evals.unused_paths import PathUse
from llm_tester.records import Message, canonical, digest, text_digest

HELD = 4_000_000
"""Up to how many characters, with so many for each sample beside its text, a task's samples are read only once."""
HELD_BESIDE = 1_000
Rendered = tuple[Sample, tuple[tuple[Message, ...], ...]]
"""A sample with what it asks in each variant."""


@dataclass(frozen=True, slots=True)
class TaskPlan:
    """One task of a run: `places` holds, for each sample in file order, its position in the run or -1; `notes` say
    what to know of the task, `held` are its samples where they are not read again."""

    task: Task
    variants: tuple[str, ...]
    samples_hash: str
    places: array[int]
    notes: tuple[str, ...] = ()
    held: Sequence[Rendered] | None = None

    @property
    def total(self) -> int:
        """How many samples the task has."""
        return len(self.places)

    @property
    def planned(self) -> int:
        """How many of them the run uses."""
        return sum(place >= 0 for place in self.places)


@dataclass(frozen=True, slots=True)
class PlannedSample:
    """One rendered sample at its position in the run."""

    position: int
    variant: str
    sample: Sample
    messages: tuple[Message, ...]

    @property
    def hash(self) -> str:
        """64 hex characters that name the rendered prompt, the target and the files where there are any."""
        content = [[[m.role, m.content] for m in self.messages], self.sample.target]
        return digest([*content, list(self.sample.files)] if self.sample.files else content)


def plan_tasks(tasks: Sequence[Task], entrants: Sequence[Entrant], *, limit: int | None, seed: int) -> list[TaskPlan]:
    """Check every sample of every task, and give those that are used a position; the first bad one raises TaskError.

    Within a task the order is a seeded shuffle, of which `limit` takes the first; tasks are interleaved evenly. So a
    run that stops early has an unbiased part of each task.
    """
    variants = tuple(dict.fromkeys(entrant.prompt for entrant in entrants))
    surveyed = [(task, survey(task, variants, hold=True)) for task in tasks]
    ranks = [_ranks(task.name, found.total, limit, seed) for task, found in surveyed]
    positions = _interleaved([len(order) for order in ranks])
    plans = []
    for (task, found), order, taken in zip(surveyed, ranks, positions, strict=True):
        places = array("q", [-1]) * found.total
        for rank, index in enumerate(order):
            places[index] = taken[rank]
        plans.append(TaskPlan(task, variants, found.samples_hash, places, found.notes, found.held))
    return plans


@dataclass(frozen=True, slots=True)
class TaskSurvey:
    """The number of a task's samples, a hash over all of them, what to know of them, and they where they are few."""

    total: int
    samples_hash: str
    notes: tuple[str, ...] = ()
    held: Sequence[Rendered] | None = None


def survey(task: Task, variants: Sequence[str], *, hold: bool = False) -> TaskSurvey:
    """What a pass over a task's samples shows; each is checked and rendered once per variant, and kept with `hold`."""
    for variant in variants:
        task.template(variant)
    total, content, use = 0, hashlib.sha256(), PathUse(task.config.scorer)
    held, room = [], HELD if hold else -1
    for sample in sound_samples(task):
        asked = _rendered(sample, task, variants)
        fields = [sample.id, sample.input, sample.target, sample.prompt, list(sample.files), dict(sample.metadata)]
        text = canonical(fields)
        content.update(text_digest(text).encode())
        if room >= 0:
            room -= HELD_BESIDE + len(text) + sum(len(turn.content) for turns in asked for turn in turns)
            held.append((sample, asked))
        use.add(sample.target)
        total += 1
    return TaskSurvey(total, content.hexdigest(), use.notes(), held if room >= 0 else None)


def planned_samples(plan: TaskPlan) -> Iterator[PlannedSample]:
    """The samples that the run uses, streamed in file order."""
    for place, (sample, asked) in zip(plan.places, _read_again(plan) if plan.held is None else plan.held, strict=True):
        if place >= 0:
            for variant, messages in zip(plan.variants, asked, strict=True):
                yield PlannedSample(place, variant, sample, messages)


def _read_again(plan: TaskPlan) -> Iterator[Rendered]:
    for place, sample in zip(plan.places, plan.task.samples(), strict=True):
        yield sample, _rendered(sample, plan.task, plan.variants) if place >= 0 else ()


def _rendered(sample: Sample, task: Task, variants: Sequence[str]) -> tuple[tuple[Message, ...], ...]:
    return tuple([task.messages(sample, variant) for variant in variants])


def _ranks(name: str, total: int, limit: int | None, seed: int) -> list[int]:
    order = list(range(total))
    random.Random(f"{seed}:{name}").shuffle(order)
    return order[:limit]


def _interleaved(lengths: list[int]) -> list[list[int]]:
    """For each task the positions of its ranks, so that every stretch of the run has its share of every task."""
    keys = [((rank + 0.5) / length, number, rank) for number, length in enumerate(lengths) for rank in range(length)]
    positions: list[list[int]] = [[0] * length for length in lengths]
    for position, (_, number, rank) in enumerate(sorted(keys)):
        positions[number][rank] = position
    return positions
