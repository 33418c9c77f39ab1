"""Entrants: what is compared, a model with its parameters and prompt variant, under a name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from llm_tester.config import EntrantConfig
from llm_tester.errors import ConfigurationError, suggestion
from llm_tester.records import digest


@dataclass(frozen=True, slots=True)
class Entrant:
    """One competitor; its hash is that of its content, so that the name may change. `chain` names the models that
    stand behind each other, where it is a chain."""

    name: str
    provider: str
    model: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    prompt: str = ""
    chain: tuple[str, ...] = ()
    hash: str = field(init=False, repr=False, compare=False)
    """64 hex characters that name what is asked and how."""

    def __post_init__(self) -> None:
        links = [list(self.chain)] if self.chain else []
        content = [self.provider, self.model, dict(self.parameters), self.prompt, *links]
        object.__setattr__(self, "hash", digest(content))

    @property
    def full_model(self) -> str:
        """provider:model."""
        return f"{self.provider}:{self.model}"


def split_model(text: str, providers: Iterable[str]) -> tuple[str, str]:
    """Provider and model of `provider:model`; `provider/model` is understood where it can only mean that."""
    provider, colon, model = text.partition(":")
    if not colon and "/" in text:
        before, _, after = text.partition("/")
        if before in set(providers):
            return before, after
    if provider and colon and model:
        return provider, model
    known = sorted(providers)
    hint = f"Write {provider}:MODEL." if provider in known else suggestion(provider, known)
    raise ConfigurationError(f'"{text}" names no model: expected provider:model', hint=hint)


def make_entrants(wanted: Iterable[str | EntrantConfig], providers: Iterable[str]) -> list[Entrant]:
    """The entrants that are asked for; raises ConfigurationError when two have one name, or are the same."""
    names = list(providers)
    entrants = [_entrant(entry, names) for entry in wanted]
    by_name: dict[str, Entrant] = {}
    by_hash: dict[str, Entrant] = {}
    for entrant in entrants:
        if entrant.name in by_name:
            raise ConfigurationError(f'two entrants are called "{entrant.name}"', hint="Give each a name of its own.")
        if entrant.hash in by_hash:
            other = by_hash[entrant.hash].name
            raise ConfigurationError(f'the entrants "{other}" and "{entrant.name}" are the same', hint="Remove one.")
        by_name[entrant.name] = by_hash[entrant.hash] = entrant
    return entrants


def _entrant(entry: str | EntrantConfig, providers: list[str]) -> Entrant:
    if entry == "":
        raise ConfigurationError(
            "a model's name is empty: expected provider:model", hint="Is a shell variable not set?"
        )
    config = EntrantConfig(model=entry) if isinstance(entry, str) else entry
    provider, model = split_model(config.model, providers)
    name = config.name or f"{provider}:{model}"
    return Entrant(name, provider, model, config.parameters, config.prompt or "")
