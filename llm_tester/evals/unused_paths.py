"""Rules and weights of the `fields` scorer that do nothing, as no gold has their path."""

from __future__ import annotations

from typing import Any

from llm_tester.errors import suggestion
from llm_tester.evals.scorers import AnyScorer, FieldsScorer

MOST_PATHS = 1000


class PathUse:
    """Which declared paths golds have, one gold after the other."""

    def __init__(self, scorer: AnyScorer) -> None:
        self._unused = {*scorer.fields, *scorer.weights} if isinstance(scorer, FieldsScorer) else set()
        self._seen: set[str] = set()

    def add(self, target: Any) -> None:
        """Take one more gold into account."""
        if self._unused:
            found = paths(target)
            self._unused -= found
            if len(self._seen) < MOST_PATHS:
                self._seen |= found

    @property
    def unused(self) -> tuple[str, ...]:
        """The declared paths that no gold has."""
        return tuple(sorted(self._unused))

    def notes(self) -> tuple[str, ...]:
        """A line for each path that no gold has, with near paths that golds have."""
        known = self._seen - {""}
        return tuple(
            f'no gold has "{path}", which a rule or a weight of the scorer names. {suggestion(path, known)}'.rstrip()
            for path in self.unused
        )


def paths(value: Any, path: str = "") -> set[str]:
    """The paths of all that stands in a JSON value, as the rules of `fields` name them."""
    found = {path}
    if isinstance(value, dict):
        for key, item in value.items():
            found |= paths(item, f"{path}.{key}" if path else key)
    elif isinstance(value, list):
        for item in value:
            found |= paths(item, f"{path}[]")
    return found
