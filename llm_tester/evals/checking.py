"""Proving a task against itself: its golds must be right answers, and each other's wrong ones."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from dataclasses import dataclass

from llm_tester.evals.golds import sound_samples
from llm_tester.evals.samples import Answer, Sample, transcript
from llm_tester.evals.scorers import AnyScorer, ChoiceScorer
from llm_tester.evals.tasks import Task
from llm_tester.evals.unused_paths import PathUse

CHANCE_LIMIT = 0.05
SHUFFLES = 5
MOST = 2000


@dataclass(frozen=True, slots=True)
class TaskCheck:
    """What a check found.

    `imperfect` names samples whose own gold does not score 1; `chance` is the mean score of golds shuffled among
    samples, `causes` the fields that raise it with the share of shuffled golds that they match; `unused_rules` are
    rules whose path no gold has, and `rule_notes` say so with near names; of `unproved` samples nobody knows an answer
    that is right for sure. `has_example`:
    the task can say how a right answer looks. Of a choice among `choices`, `majority` is the most frequent right one
    and its share.
    """

    samples: int
    prompt: str
    imperfect: tuple[tuple[str, float], ...]
    chance: float | None
    causes: tuple[tuple[str, float], ...]
    unused_rules: tuple[str, ...] = ()
    unproved: int = 0
    has_example: bool = False
    rule_notes: tuple[str, ...] = ()
    majority: tuple[str, float] | None = None
    choices: int = 0

    @property
    def chance_limit(self) -> float:
        """Above this, guessing is rewarded: of a choice, what even golds would give is no reward."""
        return CHANCE_LIMIT + (1 / self.choices if self.choices else 0)

    @property
    def passed(self) -> bool:
        """Whether every gold is a right answer."""
        return not self.imperfect


def check_task(task: Task, *, seed: int = 0) -> TaskCheck:
    """Check every sample of a task; raises TaskError for the first that is malformed."""
    return asyncio.run(_check(task, random.Random(seed)))


async def _check(task: Task, chance: random.Random) -> TaskCheck:
    prompt, count, unproved = "", 0, 0
    imperfect: list[tuple[str, float]] = []
    scorer = task.config.scorer
    use = PathUse(scorer)
    kept: list[Sample] = []
    options: Counter[str] = Counter()
    for sample in sound_samples(task):
        rendered = [task.messages(sample, variant) for variant in task.prompts]
        prompt = prompt or transcript([turn for turn in rendered[0] if turn.role != "system"])
        count += 1
        own = task.scorer.gold_answer(sample.target)
        value = 1.0 if own is None else (await task.score(sample, Answer(own, "stop"))).value
        unproved += own is None
        if isinstance(scorer, ChoiceScorer):
            options[scorer.gold_answer(sample.target)] += 1
        if value < 1.0:
            imperfect.append((sample.id, value))
        _keep(kept, sample, count, chance)
        use.add(sample.target)
    level, causes = await _chance_level(task, kept, chance)
    return TaskCheck(
        count,
        prompt,
        tuple(imperfect),
        level,
        causes,
        use.unused,
        unproved,
        hasattr(scorer, "example"),
        use.notes(),
        *_majority(options, scorer),
    )


def _majority(options: Counter[str], scorer: AnyScorer) -> tuple[tuple[str, float] | None, int]:
    if not isinstance(scorer, ChoiceScorer):
        return None, 0
    option, times = options.most_common(1)[0]
    return (option, times / options.total()), len(scorer.choices)


def _keep(kept: list[Sample], sample: Sample, seen: int, chance: random.Random) -> None:
    """An even draw of at most MOST samples from a stream (reservoir sampling)."""
    if len(kept) < MOST:
        kept.append(sample)
    elif (place := chance.randrange(seen)) < MOST:
        kept[place] = sample


async def _chance_level(
    task: Task, samples: list[Sample], chance: random.Random
) -> tuple[float | None, tuple[tuple[str, float], ...]]:
    """The score of each sample against the golds of others, by rotations of a shuffled order."""
    if len(samples) < 2:
        return None, ()
    total, pairs = 0.0, 0
    matched: Counter[str] = Counter()
    for _ in range(SHUFFLES):
        order = chance.sample(samples, len(samples))
        for sample, other in zip(order, order[1:] + order[:1], strict=True):
            given = task.scorer.gold_answer(other.target)
            if given is None:
                continue
            score = await task.score(sample, Answer(given, "stop"))
            total += score.value
            pairs += 1
            matched.update(path for path, state in (score.fields or {}).items() if state == "correct")
    if not pairs:
        return None, ()
    causes = [(path, times / pairs) for path, times in matched.most_common() if times / pairs > CHANCE_LIMIT]
    return total / pairs, tuple(causes)
