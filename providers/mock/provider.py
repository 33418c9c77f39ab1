"""Simulated models: scripted answers per sample, or behaviours drawn from a seed. Nothing sleeps, nothing is sent."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from llm_tester import BaseLLM, ConfigurationError, Document, ModelConfig, ProviderConfig, UsageData, error_for_status

FOLDER = Path(__file__).parent
Behaviour = Literal["correct", "sloppy", "broken_json", "refusal", "truncated", "empty", "rate_limit", "server_error"]
DEEP, DEEPEST = 5, 16
STATUS = {"rate_limit": 429, "server_error": 503}
REFUSAL = "I'm sorry, but I can't help with that."


class MockOptions(Document):
    """Options of the mock provider."""

    seed: int = 0
    """Seeds what is drawn for samples that no script mentions."""
    scripts: dict[str, str] = Field(default_factory=dict)
    """For a task's name, the JSONL file of its script; relative to this folder."""


class CharacterOptions(Document):
    """Options of one mock model."""

    latency_ms: float = 300
    """The declared time until the first token."""
    latency_ms_per_token: float = 5
    """The declared time per output token."""
    behaviours: dict[Behaviour, Annotated[float, Field(gt=0, allow_inf_nan=False)]] = Field(default_factory=dict)
    """How often it does what, where no script says, as weights; always right where absent."""


class Play(Document):
    """What one model does with one sample."""

    outcome: str
    """The outcome that scoring must give."""
    answer: str | None = None
    """The text that it answers; the script's right answer where absent."""
    finish: Literal["stop", "length", "refusal"] = "stop"
    """Why the answer ends."""
    errors: tuple[int, ...] = ()
    """The HTTP statuses of the first attempts."""
    usage: dict[str, int] | None = None
    """Token counts; a token per four bytes where absent."""
    latency_ms: float | None = None
    """The declared duration; the model's own where absent."""


class ScriptLine(Document):
    """What the models do with one sample."""

    id: str
    """The sample's id."""
    answer: str
    """A fully correct answer."""
    plays: dict[str, Play] = Field(default_factory=dict)
    """By model name."""


class MockProvider(BaseLLM):
    """A pure function of seed, model, sample, epoch and attempt."""

    blocking = False
    simulated = True
    applies = frozenset({"*"})
    options_type = MockOptions
    model_options_type = CharacterOptions

    def __init__(self, config: ProviderConfig | None = None) -> None:
        super().__init__(config)
        self.options = MockOptions.model_validate(self.config.options)
        self.characters = {
            entry.name: CharacterOptions.model_validate(entry.options) for entry in self.config.llm_models
        }

    def script(self, task: str) -> Mapping[str, ScriptLine]:
        """The script of a task by sample id; empty where there is none."""
        file = self.options.scripts.get(task)
        return read_script(FOLDER / file) if file else {}

    def _call_llm_api(
        self, prompt: str, system_prompt: str, model_name: str, model_config: ModelConfig
    ) -> tuple[str, UsageData]:
        tags = model_config.tags
        line = self.script(str(tags.get("task", ""))).get(str(tags.get("sample_id", "")))
        attempt = int(tags.get("attempt", 1))
        play = line.plays.get(model_name) if line else None
        if play is None:
            chance = self._chance(prompt, model_name, tags)
            reference = line.answer if line else made_up(model_config.output_schema, chance)
            play = improvised(self._draw(model_name, chance), reference, chance, attempt)
        if attempt <= len(play.errors):
            status = play.errors[attempt - 1]
            raise error_for_status(status, f"simulated HTTP {status}", retry_after=0.0)
        text = play.answer if play.answer is not None else line.answer if line else ""
        return text, self._usage(f"{system_prompt}{prompt}", text, play, model_name)

    def _chance(self, prompt: str, model_name: str, tags: Mapping[str, Any]) -> random.Random:
        sample = tags.get("sample_id", prompt)
        key = (self.options.seed, model_name, tags.get("task"), sample, tags.get("epoch", 1), tags.get("attempt", 1))
        return random.Random(repr(key))

    def _draw(self, model_name: str, chance: random.Random) -> Behaviour:
        weights = self.characters.get(model_name, CharacterOptions()).behaviours or {"correct": 1.0}
        return chance.choices(list(weights), list(weights.values()))[0]

    def _usage(self, question: str, text: str, play: Play, model_name: str) -> UsageData:
        counts = {"input": tokens(question), "output": tokens(text)} | (play.usage or {})
        character = self.characters.get(model_name, CharacterOptions())
        latency = character.latency_ms + character.latency_ms_per_token * counts["output"]
        return UsageData(
            prompt_tokens=counts.pop("input"),
            completion_tokens=counts.pop("output"),
            finish_reason=play.finish,
            latency_ms=latency if play.latency_ms is None else play.latency_ms,
            **counts,  # type: ignore[arg-type]
        )


@cache
def read_script(path: Path) -> Mapping[str, ScriptLine]:
    """A script file by sample id."""
    try:
        lines = path.read_text("utf-8").split("\n")
        parsed = [ScriptLine.model_validate_json(line) for line in lines if line.strip()]
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"{path}: not a usable script: {error}", file=str(path)) from None
    return {line.id: line for line in parsed}


def tokens(text: str) -> int:
    """The simulated token count: one per four bytes of UTF-8, rounded up."""
    return math.ceil(len(text.encode("utf-8", "surrogatepass")) / 4)


def improvised(behaviour: Behaviour, reference: str, chance: random.Random, attempt: int) -> Play:
    """What a model of that behaviour makes of the right answer."""
    if behaviour in STATUS:
        return Play(outcome="error", errors=(200,) * (attempt - 1) + (STATUS[behaviour],))
    if behaviour == "refusal":
        return Play(outcome="refused", answer=REFUSAL, finish="refusal")
    if behaviour == "empty":
        return Play(outcome="empty", answer="")
    if behaviour == "truncated":
        return Play(outcome="truncated", answer=reference[: max(1, len(reference) // 2)], finish="length")
    if behaviour == "broken_json":
        return Play(outcome="invalid", answer=reference.replace('"', "'").rstrip("}]"))
    if behaviour == "sloppy":
        return Play(outcome="partial", answer=f"Sure! Roughly:\n\n{spoiled(reference, chance)}")
    return Play(outcome="correct", answer=reference)


def spoiled(reference: str, chance: random.Random) -> str:
    """The right answer with one mistake: a lost key where it is a JSON object, else a changed digit."""
    try:
        value = json.loads(reference)
    except ValueError:
        value = None
    if isinstance(value, dict) and value:
        del value[chance.choice(sorted(value))]
        return json.dumps(value, ensure_ascii=False)
    digits = [place for place, letter in enumerate(reference) if letter.isdigit()]
    if not digits:
        return reference[::-1]
    place = digits[-1]
    return f"{reference[:place]}{(int(reference[place]) + chance.randint(1, 8)) % 10}{reference[place + 1 :]}"


def made_up(schema: Mapping[str, Any] | None, chance: random.Random) -> str:
    """An answer to a sample that no script mentions: shaped by the schema where there is one."""
    if schema is None:
        return f"simulated answer {chance.randint(0, 9999)}"
    return json.dumps(shaped(schema, schema), ensure_ascii=False)


def shaped(schema: Any, root: Mapping[str, Any], depth: int = 0) -> Any:
    """A small value of the schema's shape; where a schema contains itself, optional parts end early."""
    if not isinstance(schema, Mapping) or depth > DEEPEST:
        return None
    if "$ref" in schema:
        name = str(schema["$ref"]).rsplit("/", 1)[-1]
        return shaped(root.get("$defs", {}).get(name, {}), root, depth + 1)
    if "enum" in schema:
        return schema["enum"][0]
    if "const" in schema:
        return schema["const"]
    for choice in ("anyOf", "oneOf", "allOf"):
        if choice in schema:
            return shaped(_chosen(schema[choice], depth), root, depth + 1)
    kind = schema.get("type", "object" if "properties" in schema else "string")
    kind = kind[0] if isinstance(kind, list) else kind
    if kind == "object":
        return {key: shaped(value, root, depth + 1) for key, value in schema.get("properties", {}).items()}
    if kind == "array":
        return [shaped(schema.get("items", {}), root, depth + 1)] if depth < DEEP else []
    return {"integer": 1, "number": 1.5, "boolean": True, "null": None}.get(str(kind), "simulated")


def _chosen(options: Sequence[Any], depth: int) -> Any:
    return {"type": "null"} if depth >= DEEP and {"type": "null"} in options else options[0]
