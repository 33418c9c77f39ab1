"""The scorer that is somebody's own Python function."""

from __future__ import annotations

import asyncio
import hashlib
import inspect
import math
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from llm_tester.errors import LLMTesterError, TaskError
from llm_tester.evals.samples import Answer, Outcome, Sample, Score, ScoreContext, undelivered
from llm_tester.evals.scorers.fields import json_text
from llm_tester.evals.scorers.text import only_thoughts, without_thoughts
from llm_tester.llms.flow import DaemonPool
from llm_tester.llms.loading import attribute_of, import_module, load_module

PREFIX = "python:"
Form = Literal["plain", "full"]


class PythonScorer(BaseModel):
    """What a function of your own says: `python:module:function`, or `python:file.py:function` in the task's folder.

    It takes (answer, target), two values, or (sample, answer, context), and returns a Score, or a number from 0 to 1,
    or whether the answer is right.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    type: str = Field(json_schema_extra={"pattern": "^python:"})
    """`python:`, the module or the file in the task's folder, a colon, and the function."""
    deterministic: bool = True
    """Whether the same answer always gets the same score, and a gold 1; `tasks check` asks for it."""
    example: str = Field(default="{target}", pattern=r"\{target\}")
    """An answer as it should look, with {target} in it: what `tasks check` gives as the gold's own answer."""

    @field_validator("type")
    @classmethod
    def _named(cls, kind: str) -> str:
        if not re.fullmatch(r"python:[^:\s]+:[A-Za-z_]\w*", kind):
            raise ValueError("write python:module:function, or python:file.py:function")
        return kind

    def load(self, folder: Path, task: str) -> LoadedFunction:
        """The function, imported; raises TaskError that names file and function."""
        named, name = self.type.removeprefix(PREFIX).rsplit(":", 1)
        module, source = _module(named, folder, task)
        where = f"{source or named}: {name}"
        try:
            function = attribute_of(module, name, where=str(source or named))
        except LLMTesterError as error:
            raise TaskError(error.message, hint=f"Define {name} there, or mend the scorer's type.") from None
        if not callable(function):
            raise TaskError(f"{where} is no function but {type(function).__name__}")
        fingerprint = hashlib.sha256(source.read_bytes()).hexdigest() if source is not None else named
        return LoadedFunction(self, function, _form(function, where), where, fingerprint)


@dataclass(frozen=True)
class LoadedFunction:
    """A scorer whose function is imported; `where` names it in errors, `fingerprint` is a hash of its file."""

    config: PythonScorer
    function: Callable[..., Any]
    form: Form
    where: str
    fingerprint: str
    _pool: DaemonPool = field(default_factory=lambda: DaemonPool(1), repr=False)

    @property
    def deterministic(self) -> bool:
        """As task.json says."""
        return self.config.deterministic

    async def score(self, sample: Sample, answer: Answer, context: ScoreContext) -> Score:
        """What the function says; TaskError names it where it fails or says what no score is."""
        if (missing := undelivered(answer)) is not None:
            return missing
        arguments: tuple[Any, ...] = (sample, answer, context)
        if self.form == "plain":
            text = without_thoughts(answer.text)
            if not text:
                return only_thoughts(answer)
            arguments = (text, sample.target)
        try:
            return self._score(await self._said(arguments))
        except TaskError as error:
            raise TaskError(f'{self.where}: sample "{sample.id}": {error.message}', hint=error.hint) from error

    def check_target(self, target: Any) -> None:
        """Any target will do: what it means is the function's own affair."""

    def gold_answer(self, target: Any) -> str | None:
        """The example with the target in it, as text or JSON; None where scores are not deterministic."""
        if not self.deterministic:
            return None
        return self.config.example.replace("{target}", target if isinstance(target, str) else json_text(target))

    async def _said(self, arguments: tuple[Any, ...]) -> Any:
        try:
            if inspect.iscoroutinefunction(self.function):
                return await self.function(*arguments)
            # On a thread of its own, one at a time: it may wait, and need not be made for threads.
            said = await asyncio.wrap_future(self._pool.submit(_outcome, self.function, arguments))
            if isinstance(said, _Raised):
                raise said.error
            return await said.value if inspect.isawaitable(said.value) else said.value
        except (Exception, SystemExit) as error:
            raise TaskError(f"{type(error).__name__}: {error}", hint=_MEND) from error

    def _score(self, said: Any) -> Score:
        if isinstance(said, Score):
            return Score(_share(said.value), said.outcome, said.fields, said.violations, said.note, said.costs)
        value = _share(said)
        return Score(value, Outcome.CORRECT if value == 1 else Outcome.PARTIAL if value else Outcome.WRONG)


@dataclass(frozen=True, slots=True)
class _Returned:
    value: Any


@dataclass(frozen=True, slots=True)
class _Raised:
    error: Exception | SystemExit


def _outcome(function: Callable[..., Any], arguments: tuple[Any, ...]) -> _Returned | _Raised:
    """What the function returns or raises: asyncio lets neither SystemExit nor StopIteration through a future."""
    try:
        return _Returned(function(*arguments))
    except (Exception, SystemExit) as error:  # noqa: BLE001 - the waiting side raises it as TaskError
        return _Raised(error)


def _share(said: Any) -> float:
    """A score from 0 to 1, of a number or a truth value."""
    try:
        value = float(said) if not isinstance(said, str) else math.nan
    except (TypeError, ValueError):
        value = math.nan
    if not 0 <= value <= 1:
        raise TaskError(f"returned {said!r:.80}", hint="A score is a number from 0 to 1, True, False or a Score.")
    return value


def _module(named: str, folder: Path, task: str) -> tuple[ModuleType, Path | None]:
    """The module and its file, which is hashed; the task's folder comes before what is installed."""
    file = folder / (named if named.endswith(".py") else f"{named.replace('.', '/')}.py")
    try:
        if named.endswith(".py") or file.is_file():
            if not file.resolve().is_relative_to(folder.resolve()):
                raise TaskError(
                    f"{named}: leads out of the task's folder", hint="Name a file in it, or an installed module."
                )
            return load_module(file, f"llm_tester_tasks.{task}.{file.stem}"), file
        module = import_module(named)
    except TaskError:
        raise
    except LLMTesterError as error:
        raise TaskError(error.message, hint=error.hint) from error
    return module, Path(module.__file__) if module.__file__ else None


def _form(function: Callable[..., Any], where: str) -> Form:
    """Which arguments the function wants, by how many it takes."""
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        raise TaskError(f"{where} does not say which arguments it takes", hint=_FORMS) from None
    for form, count in (("full", 3), ("plain", 2)):
        try:
            signature.bind(*[None] * count)
        except TypeError:
            continue
        return form  # type: ignore[return-value]
    raise TaskError(f"{where}{signature} takes other arguments", hint=_FORMS)


_MEND = "The scorer's own code raised this. Mend it; `llm-tester rescore` then scores what a run has stored."
_FORMS = "Write score(answer, target), two values, or score(sample, answer, context)."
