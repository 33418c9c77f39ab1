"""The leaves of structured output, and what share of a gold's leaves an answer has right."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import fsum
from typing import Any

from llm_tester.evals.scorers.matching import align, assign
from llm_tester.evals.scorers.rules import ByType, Comparison, FieldRule, ListRule, Scalar, TextRule

MAX_DEPTH = 64
"""Containers nested deeper than this are refused; no gold needs it, and the program's stack ends somewhere."""

MAX_PAIRS = 200_000
"""So many pairs of list items are compared at least; what an answer has beyond them and beyond four times the gold's
items stays unmatched."""

_UNDECLARED = ByType()


class UnfitValueError(ValueError):
    """A value that cannot be taken apart; the message goes on after "the value"."""


@dataclass(frozen=True, slots=True)
class ScalarLeaf:
    """A value that is no container, read by the rule of its field."""

    rule: Comparison
    key: Any
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class ListLeaf:
    """A list: the leaves of each item that is not empty."""

    ordered: bool
    items: tuple[Leaves, ...]
    weight: float = 1.0


Path = tuple[str, ...]
Leaf = ScalarLeaf | ListLeaf
Leaves = Mapping[Path, Leaf]


@dataclass(frozen=True, slots=True)
class Verdict:
    """How one leaf came out: `verdict` is correct, wrong, missing or invented, `share` (0 to 1) what it counts, and
    `weight` how much that counts beside others."""

    path: str
    verdict: str
    share: float
    weight: float = 1.0


class LeafReader:
    """Takes JSON values apart into leaves under the rules of a task; null, "", [] and {} are no leaves.

    `weights` hold for a path and, in an object, for what is below it; a path of its own wins.
    """

    def __init__(self, rules: Mapping[str, FieldRule], weights: Mapping[str, float] | None = None) -> None:
        self._rules = rules
        self._weights = weights or {}

    def leaves(self, value: Any) -> Leaves:
        """The leaves by their path; of a list or a scalar the only one, at the empty path."""
        return self._leaves(value, "", 0)

    def _leaves(self, value: Any, pattern: str, depth: int) -> Leaves:
        found: dict[Path, Leaf] = {}
        self._collect(value, (), (pattern, self._weights.get(pattern, 1.0)), depth, found)
        return found

    def _collect(self, value: Any, path: Path, place: tuple[str, float], depth: int, found: dict[Path, Leaf]) -> None:
        if depth > MAX_DEPTH:
            raise UnfitValueError(f"is nested deeper than {MAX_DEPTH} levels")
        pattern, weight = place
        if isinstance(value, dict):
            for name, inner in value.items():
                below = f"{pattern}.{name}" if pattern else name
                at = (below, self._weights.get(below, weight))
                self._collect(inner, (*path, name), at, depth + 1, found)
        elif isinstance(value, list):
            items = tuple(item for one in value if (item := self._leaves(one, f"{pattern}[]", depth + 1)))
            if items:
                found[path] = ListLeaf(self._is_ordered(pattern), items, weight)
        elif not (value is None or (isinstance(value, str) and not value.strip())):
            if not isinstance(value, Scalar):
                raise UnfitValueError(f"holds a {type(value).__name__}, which JSON cannot say")
            rule = self._comparison(pattern)
            found[path] = ScalarLeaf(rule, rule.read(value), weight)

    def _is_ordered(self, pattern: str) -> bool:
        rule = self._rules.get(pattern)
        return isinstance(rule, ListRule) and rule.list == "ordered"

    def _comparison(self, pattern: str) -> Comparison:
        rule = self._rules.get(pattern)
        return _UNDECLARED if rule is None or isinstance(rule, ListRule) else rule


def verdicts(gold: Leaves, answer: Leaves) -> list[Verdict]:
    """The verdict on each leaf of gold and answer together, the gold's first."""
    found = [_verdict(path, leaf, answer.get(path)) for path, leaf in gold.items()]
    return found + [
        Verdict(".".join(path), "invented", 0.0, leaf.weight) for path, leaf in answer.items() if path not in gold
    ]


def mean_share(found: Sequence[Verdict]) -> float:
    """What all leaves count, each by its weight."""
    return fsum(leaf.weight * leaf.share for leaf in found) / fsum(leaf.weight for leaf in found)


def _verdict(path: Path, gold: Leaf, answer: Leaf | None) -> Verdict:
    name = ".".join(path)
    if answer is None:
        return Verdict(name, "missing", 0.0, gold.weight)
    share = _share(gold, answer)
    return Verdict(name, "correct" if share == 1 else "wrong", share, gold.weight)


def _share(gold: Leaf, answer: Leaf) -> float:
    if isinstance(gold, ScalarLeaf) and isinstance(answer, ScalarLeaf):
        if isinstance(gold.rule, TextRule):
            return gold.rule.share(gold.key, answer.key)
        return 1.0 if gold.rule.same(gold.key, answer.key) else 0.0
    if isinstance(gold, ListLeaf) and isinstance(answer, ListLeaf):
        return _f1(gold, answer)
    return 0.0


def _agreement(gold: Leaves, answer: Leaves) -> float:
    """The mean over the leaves of two items together; 0 for items of different kinds, which share no path."""
    shares = [_share(leaf, answer[path]) for path, leaf in gold.items() if path in answer]
    return fsum(shares) / (len(gold) + len(answer) - len(shares))


def _weighted_agreement(gold: Leaves, answer: Leaves) -> float:
    weight = fsum(leaf.weight for leaf in {**gold, **answer}.values())
    if not weight:  # all that stands in both is declared not to count: they are paired all the same
        return _agreement(gold, answer)
    both = (path for path in gold if path in answer)
    return fsum(gold[path].weight * _share(gold[path], answer[path]) for path in both) / weight


def _is_weighted(items: Iterable[Leaves]) -> bool:
    return any(leaf.weight != 1 for item in items for leaf in item.values())


def _f1(gold: ListLeaf, answer: ListLeaf) -> float:
    considered = answer.items[: max(4 * len(gold.items), MAX_PAIRS // len(gold.items))]
    agreement = _weighted_agreement if _is_weighted((*gold.items, *considered)) else _agreement
    similarities = [[agreement(item, other) for other in considered] for item in gold.items]
    pairs = align(similarities) if gold.ordered else assign(similarities)
    matched = fsum(similarities[row][column] for row, column in pairs)
    return 2 * matched / (len(gold.items) + len(answer.items))
