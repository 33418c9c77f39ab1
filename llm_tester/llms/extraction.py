"""Token counts by declared paths: where each API says what it counted, and what it counts inside of what."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from llm_tester.catalogue import UsageConfig
from llm_tester.llms.usage import is_count, read_usage
from llm_tester.records import UsageData

Path = tuple[str, ...]
PARTS_OF_INPUT = ("cached_input", "cache_write_5m", "cache_write_1h")


@dataclass(frozen=True, slots=True)
class UsagePaths:
    """Where an API's answer holds its counts. For each token class the first path that is there counts.

    `cached_in_input` says whether cached tokens are inside the input count, `reasoning_in_output` whether reasoning is
    inside the output count; where not, they are added, so that input and output are always all of it.
    """

    root: Path
    counts: Mapping[str, tuple[Path, ...]]
    cached_in_input: bool = True
    reasoning_in_output: bool = True
    reported_cost: Path | None = None
    write_total: Path | None = None
    in_stream: str = "option"
    extra_roots: tuple[Path, ...] = field(default=())

    def with_config(self, config: UsageConfig | None) -> UsagePaths:
        """These paths with what a provider's config.json declares laid over them."""
        if config is None:
            return self
        named = {
            name: getattr(config, name)
            for name in ("cached_in_input", "reasoning_in_output", "in_stream")
            if getattr(config, name) is not None
        }
        counts = dict(self.counts) | {
            name: tuple(tuple(path.split(".")) for path in ([given] if isinstance(given, str) else given))
            for name, given in config.paths.items()
        }
        cost = tuple(config.reported_cost.split(".")) if config.reported_cost else self.reported_cost
        return replace(self, counts=counts, reported_cost=cost, **named)

    def extract(self, body: Mapping[str, Any], **details: Any) -> UsageData:
        """The usage in an answer's body; counts that cannot be counts are None and named in `inconsistent`."""
        raw = at(body, self.root)
        if raw is None and self.extra_roots:
            raw = _first(body, self.extra_roots)
        if type(raw) is not dict and not isinstance(raw, Mapping):
            return read_usage({**details, "raw": raw} if raw is not None else details)
        counts = {name: value for name, paths in self.counts.items() if (value := _first(raw, paths)) is not None}
        self._split_writes(raw, counts)
        self._complete(counts)
        if self.reported_cost and (cost := at(raw, self.reported_cost)) is not None:
            counts["reported_cost"] = cost
        counts["prompt_tokens"], counts["completion_tokens"] = counts.pop("input", None), counts.pop("output", None)
        return read_usage(UsageData(**counts, **details, raw=raw if type(raw) is dict else dict(raw)))

    def _split_writes(self, raw: Mapping[str, Any], counts: dict[str, Any]) -> None:
        """Cache writes that are only told as a sum are of the shorter kind, which is the default everywhere."""
        total = at(raw, self.write_total) if self.write_total else None
        if is_count(total):
            known = [counts.get(name, 0) for name in ("cache_write_5m", "cache_write_1h")]
            if all(is_count(count) for count in known) and sum(known) < total:
                counts["cache_write_5m"] = total - known[1]

    def _complete(self, counts: dict[str, Any]) -> None:
        if not self.cached_in_input and is_count(counts.get("input")):
            beside = [counts[name] for name in PARTS_OF_INPUT if is_count(counts.get(name))]
            counts["input"] += sum(beside)
        if not self.reasoning_in_output and is_count(counts.get("output")) and is_count(counts.get("reasoning")):
            counts["output"] += counts["reasoning"]


def _first(value: Any, paths: tuple[Path, ...]) -> Any:
    for path in paths:
        if (found := at(value, path)) is not None:
            return found
    return None


def at(value: Any, path: Path) -> Any:
    """What stands at `path`, or None where any step is missing."""
    for step in path:
        # Nearly all is a dict: the question whether something else is a mapping takes longer than the rest.
        if type(value) is not dict and not isinstance(value, Mapping):
            return None
        value = value.get(step)
        if value is None:
            return None
    return value


OPENAI_PATHS = UsagePaths(
    root=("usage",),
    counts={
        "input": (("prompt_tokens",),),
        "output": (("completion_tokens",),),
        "cached_input": (("prompt_tokens_details", "cached_tokens"),),
        "cache_write_5m": (("prompt_tokens_details", "cache_write_tokens"),),
        "audio_input": (("prompt_tokens_details", "audio_tokens"),),
        "reasoning": (("completion_tokens_details", "reasoning_tokens"),),
        "audio_output": (("completion_tokens_details", "audio_tokens"),),
    },
    extra_roots=(("x_groq", "usage"),),
)
ANTHROPIC_PATHS = UsagePaths(
    root=("usage",),
    counts={
        "input": (("input_tokens",),),
        "output": (("output_tokens",),),
        "cached_input": (("cache_read_input_tokens",),),
        "cache_write_5m": (("cache_creation", "ephemeral_5m_input_tokens"),),
        "cache_write_1h": (("cache_creation", "ephemeral_1h_input_tokens"),),
        "reasoning": (("output_tokens_details", "thinking_tokens"),),
    },
    cached_in_input=False,
    write_total=("cache_creation_input_tokens",),
)
