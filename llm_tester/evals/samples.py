"""The words of an evaluation: sample, delivered answer, outcome, score, and what every scorer promises."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol

from llm_tester.records import Cost, FinishReason, Message, Request, Response


class Outcome(StrEnum):
    """How one sample ended for one entrant."""

    CORRECT = "correct"
    PARTIAL = "partial"
    WRONG = "wrong"
    REFUSED = "refused"
    TRUNCATED = "truncated"
    INVALID = "invalid"
    EMPTY = "empty"
    ERROR = "error"
    UNKNOWN = "unknown"
    NOT_RUN = "not_run"

    @property
    def counts(self) -> bool:
        """Whether it enters the mean score; a call that brought no answer does not."""
        return self not in (Outcome.ERROR, Outcome.UNKNOWN, Outcome.NOT_RUN)


@dataclass(frozen=True, slots=True)
class Sample:
    """One case of a task: what goes into the prompt and what should come out.

    `turns` are the messages of an input that is a conversation, of which `input` is then the transcript; `where` is
    the file and line that it was read from.
    """

    id: str
    input: str
    target: Any
    prompt: str | None = None
    files: tuple[str, ...] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict)
    turns: tuple[Message, ...] = ()
    where: str = field(default="", compare=False, repr=False)


def transcript(turns: Sequence[Message]) -> str:
    """The text of messages: of one alone its content, of several each under its role."""
    return turns[0].content if len(turns) == 1 else "\n\n".join(f"{turn.role}: {turn.content}" for turn in turns)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a model delivered: its text and why it stopped (None: not reported)."""

    text: str
    finish_reason: FinishReason | None = None


class OutputCheck(Protocol):
    """A task's output schema, as scorers see it."""

    @property
    def json_schema(self) -> Mapping[str, Any]:
        """The JSON Schema."""

    def problems(self, value: Any) -> list[str]:
        """What in `value` breaks the schema, a line each; empty when it is valid."""


class Respond(Protocol):
    """How a scorer asks a model: under the run's own claims and budget."""

    async def __call__(self, request: Request) -> Response:
        """The response, or a ProviderError."""


@dataclass(frozen=True, slots=True)
class ScoreContext:
    """What a scorer may use besides the answer; `respond` is None where no model may be asked."""

    output: OutputCheck | None = None
    respond: Respond | None = None


@dataclass(frozen=True, slots=True)
class Score:
    """The verdict on one answer: `value` is 0 to 1; `fields` maps a leaf's path to correct, wrong, missing or invented.

    `violations` lists where parsed output breaks its schema; such an answer is never correct.
    """

    value: float
    outcome: Outcome
    fields: Mapping[str, str] | None = None
    violations: tuple[str, ...] = ()
    note: str = ""
    costs: tuple[Cost, ...] = ()


class Scorer(Protocol):
    """Turns an answer into a score; `check_target` raises TaskError for a gold that it cannot score against."""

    @property
    def deterministic(self) -> bool:
        """Whether the same answer always gets the same score, and a gold's own answer 1."""

    async def score(self, sample: Sample, answer: Answer, context: ScoreContext) -> Score:
        """The verdict on `answer`."""

    def check_target(self, target: Any) -> None:
        """Raise TaskError when `target` cannot be a gold of this scorer."""

    def gold_answer(self, target: Any) -> str | None:
        """The text of an answer that is the gold itself, to prove a task against itself; None where none is known."""


def undelivered(answer: Answer) -> Score | None:
    """The score of an answer that is none: refused, cut off or empty; None when there is something to score."""
    if answer.finish_reason in ("refusal", "content_filter"):
        return Score(0.0, Outcome.REFUSED)
    if answer.finish_reason == "length":
        return Score(0.0, Outcome.TRUNCATED)
    if not answer.text.strip():
        return Score(0.0, Outcome.EMPTY)
    return None
