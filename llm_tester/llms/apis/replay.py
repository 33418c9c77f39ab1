"""`"api": "replay"`: answers that were made elsewhere, read from a JSONL file per model, so that they can be scored."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from pydantic import ConfigDict, Field

from llm_tester.catalogue import ModelConfig, ProviderConfig
from llm_tester.documents import Document, parse_json, validate
from llm_tester.errors import BadRequestError, ConfigurationError
from llm_tester.llms.base import BaseLLM
from llm_tester.records import UsageData


class RecordedAnswer(Document):
    """One line of an answers file."""

    model_config = ConfigDict(extra="ignore")

    id: str = Field(min_length=1)
    """The id of the sample that was answered."""
    answer: str
    """The answer's text."""
    usage: dict[str, Any] | None = None
    """Token counts, by the names of UsageData."""
    finish: Literal["stop", "length", "refusal"] | None = None
    """Why the answer ended, where it was recorded."""


class AnswerFile:
    """The answers of one JSONL file by sample id; only their places are kept in memory."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._places: dict[str, int] = {}
        self._offsets = array("q")
        self._scan()

    def _scan(self) -> None:
        offset = 0
        for number, line in enumerate(self._lines(), 1):
            text = self._text(line, number).rstrip("\r\n")
            if text.strip():
                answer = self._answer(text, number)
                if answer.id in self._places:
                    raise ConfigurationError(
                        f'{self.path}:{number}: a second answer for the sample "{answer.id}"',
                        hint="Keep one line per sample.",
                        file=str(self.path),
                    )
                self._places[answer.id] = len(self._offsets)
                self._offsets.append(offset)
            offset += len(line)
        if not self._places:
            raise ConfigurationError(f"{self.path}: holds no answers", file=str(self.path))

    def _lines(self) -> Iterator[bytes]:
        try:
            with self.path.open("rb") as file:
                yield from file
        except OSError as error:
            raise ConfigurationError(
                f"{self.path}: the file of recorded answers cannot be read: {error.strerror}",
                hint='Mend "answers" of this model.',
                file=str(self.path),
            ) from None

    def _text(self, line: bytes, number: int) -> str:
        try:
            return line.decode("utf-8-sig")
        except UnicodeDecodeError:
            raise ConfigurationError(f"{self.path}:{number}: not UTF-8 text", file=str(self.path)) from None

    def _answer(self, text: str, number: int) -> RecordedAnswer:
        data = parse_json(text, file=str(self.path), first_line=number)
        return validate(RecordedAnswer, data, file=f"{self.path}:{number}")

    def find(self, sample_id: str) -> RecordedAnswer | None:
        """The answer to a sample, read from the file again."""
        place = self._places.get(sample_id)
        if place is None:
            return None
        with self.path.open("rb") as file:
            file.seek(self._offsets[place])
            answer = self._answer(self._text(file.readline(), place + 1), place + 1)
        if answer.id != sample_id:
            raise ConfigurationError(
                f"{self.path}: changed while its answers are in use", hint="Start again.", file=str(self.path)
            )
        return answer


class ReplayLLM(BaseLLM):
    """Serves recorded answers by sample id. What it declares of usage and finish is what the file says."""

    blocking = False
    simulated = True
    applies = frozenset({"*"})

    def __init__(self, config: ProviderConfig | None = None) -> None:
        super().__init__(config)
        for entry in self.config.llm_models:
            if entry.answers is None:
                raise ConfigurationError(
                    f'{self.name}: the model "{entry.name}" names no file of recorded answers',
                    hint='Add "answers": "file.jsonl" to it.',
                )
        self._files: dict[str, AnswerFile] = {}

    def prepare(self, model_name: str) -> None:
        """Read and check the model's file."""
        super().prepare(model_name)
        self._file(model_name)

    def _file(self, model_name: str) -> AnswerFile:
        if model_name not in self._files:
            self._files[model_name] = AnswerFile(Path(self.model_entry(model_name).answers or ""))
        return self._files[model_name]

    def _call_llm_api(
        self, prompt: str, system_prompt: str, model_name: str, model_config: ModelConfig
    ) -> tuple[str, dict[str, Any] | UsageData]:
        sample_id = str(model_config.tags.get("sample_id", ""))
        recorded = self._file(model_name).find(sample_id)
        if recorded is None:
            raise BadRequestError(
                f'no recorded answer for the sample "{sample_id}"',
                hint="Replay answers only the samples of its file.",
            )
        usage = dict(recorded.usage or {})
        if recorded.finish is not None:
            usage["finish_reason"] = recorded.finish
        return recorded.answer, usage
