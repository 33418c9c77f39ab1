"""Whether a provider keeps the contract of BaseLLM, as far as can be seen without calling it."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

from llm_tester.documents import Document
from llm_tester.llms.base import BaseLLM
from llm_tester.llms.declarations import APPLIES_FIX, KEY_FIX, asks_for_key, misspelt, names_in
from llm_tester.llms.usage import usage_hint
from llm_tester.records import USAGE_KEYS

State = Literal["ok", "failed", "note", "skipped"]
SIGNATURE = "_call_llm_api(self, prompt, system_prompt, model_name, model_config)"
ARGUMENTS = 4


@dataclass(frozen=True, slots=True)
class Finding:
    """What one rule of the contract found, and what to do about it."""

    rule: str
    state: State
    text: str
    fix: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a check of a provider found; it is true when nothing failed."""

    provider: str
    findings: tuple[Finding, ...]

    @property
    def passed(self) -> bool:
        """Whether nothing failed."""
        return not any(finding.state == "failed" for finding in self.findings)

    def __bool__(self) -> bool:
        return self.passed

    def __str__(self) -> str:
        lines = [f"{self.provider}: {'passed' if self.passed else 'failed'}"]
        for finding in self.findings:
            lines.append(f"  {finding.state:<8}{finding.rule}: {finding.text}")
            lines += [f"          {finding.fix}"] if finding.fix else []
        return "\n".join(lines)


def validate_provider_implementation(provider: type[Any] | BaseLLM) -> Verdict:
    """Check a provider's class, and of an instance its configuration, without calling it.

    The verdict is true when nothing failed; its findings say what did, and what to do.
    """
    chosen = provider if isinstance(provider, type) else type(provider)
    findings = list(_of_class(chosen))
    if isinstance(provider, BaseLLM) and all(finding.state != "failed" for finding in findings):
        findings += _of_configuration(provider)
    return Verdict(provider.name if isinstance(provider, BaseLLM) else chosen.__name__, tuple(findings))


def _of_class(chosen: type[Any]) -> Iterator[Finding]:
    if not issubclass(chosen, BaseLLM):
        yield Finding("class", "failed", f"{chosen.__name__} is no subclass of BaseLLM", "Derive it from BaseLLM.")
        return
    missing = sorted(getattr(chosen, "__abstractmethods__", ()))
    if missing:
        yield Finding(
            "class",
            "failed",
            f"{chosen.__name__} does not define {', '.join(missing)}",
            misspelt(chosen) or f"Add {SIGNATURE}.",
        )
        return
    yield Finding("class", "ok", f"{chosen.__name__} is a BaseLLM")
    yield _signature(chosen)
    yield _constructor(chosen)
    yield from _declarations(chosen)
    yield from _written_usage(chosen)


def _signature(chosen: type[BaseLLM]) -> Finding:
    method: Callable[..., Any] = getattr(chosen, "_call_llm_api")  # noqa: B009 - the fixed name of a foreign class
    raw = inspect.getattr_static(chosen, "_call_llm_api")
    bound = isinstance(raw, staticmethod | classmethod)
    if inspect.isgeneratorfunction(method) or inspect.isasyncgenfunction(method):
        return Finding("signature", "failed", "_call_llm_api yields", "Return (text, usage) once, at the end.")
    try:
        inspect.signature(method).bind(*[None] * (ARGUMENTS + (not bound)))
    except TypeError as error:
        text = f"_call_llm_api{inspect.signature(method)} cannot be called with four arguments: {error}"
        return Finding("signature", "failed", text, f"Write {SIGNATURE}.")
    kind = "async" if inspect.iscoroutinefunction(method) else "sync"
    return Finding("signature", "ok", f"_call_llm_api takes prompt, system_prompt, model_name, model_config ({kind})")


def _constructor(chosen: type[BaseLLM]) -> Finding:
    try:
        inspect.signature(chosen.__init__).bind(None, None)
    except TypeError as error:
        text = f"__init__{inspect.signature(chosen.__init__)} cannot be called with a config: {error}"
        return Finding("constructor", "failed", text, "Write __init__(self, config=None) and super().__init__(config).")
    return Finding("constructor", "ok", "it is made with its config")


def _declarations(chosen: type[BaseLLM]) -> Iterator[Finding]:
    if names_in(chosen.applies) is None:
        yield Finding("declarations", "failed", f"applies is {chosen.applies!r}, not a set of names", APPLIES_FIX)
    for name in ("blocking", "simulated"):
        value = getattr(chosen, name)
        if not isinstance(value, bool):
            yield Finding("declarations", "failed", f"{name} is {value!r}", "It is True or False.")
    for name in ("options_type", "model_options_type"):
        value = getattr(chosen, name)
        if value is not None and not (isinstance(value, type) and issubclass(value, Document)):
            yield Finding("declarations", "failed", f"{name} is {value!r}", "It is a subclass of llm_tester.Document.")


def _written_usage(chosen: type[BaseLLM]) -> Iterator[Finding]:
    """The keys of usage dicts as the code writes them: their commonest mistake is seen without any call."""
    written = _returned_keys(inspect.unwrap(getattr(chosen, "_call_llm_api")))  # noqa: B009 - as in _signature
    unknown = sorted(written - USAGE_KEYS)
    if unknown:
        fix = usage_hint(unknown[0])
        yield Finding("usage keys", "failed", f'the usage has an unknown key "{unknown[0]}"', fix)
    elif written:
        yield Finding("usage keys", "ok", ", ".join(sorted(written)))


def _returned_keys(function: Callable[..., Any]) -> set[str]:
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    except (OSError, TypeError, SyntaxError):
        return set()
    pairs = [node.value for node in ast.walk(tree) if isinstance(node, ast.Return)]
    usages = [pair.elts[1] for pair in pairs if isinstance(pair, ast.Tuple) and len(pair.elts) == 2]
    keys = [key for usage in usages if isinstance(usage, ast.Dict) for key in usage.keys]
    return {key.value for key in keys if isinstance(key, ast.Constant) and isinstance(key.value, str)}


def _of_configuration(provider: BaseLLM) -> Iterator[Finding]:
    config = provider.config
    where = f"providers.{config.name}.llm_models in the workspace's config.json"
    if not config.llm_models and not config.open_catalogue:
        yield Finding("catalogue", "failed", "it has no models", "List at least one under llm_models.")
    elif not config.llm_models:
        yield Finding("catalogue", "note", "any model is accepted, none has a price", f"Give prices under {where}.")
    else:
        unpriced = [entry.name for entry in config.llm_models if entry.cost_input is None or entry.cost_output is None]
        count = f"{len(config.llm_models)} model{'s' * (len(config.llm_models) > 1)}"
        if unpriced:
            more = f" and {len(unpriced) - 3} more" if len(unpriced) > 3 else ""
            text = f"{count}; without a price: {', '.join(unpriced[:3])}{more}"
            fix = "Give cost_input and cost_output; else a cost is genai-prices' where it knows the model, or unknown."
            yield Finding("catalogue", "note", text, fix)
        else:
            yield Finding("catalogue", "ok", f"{count}, with prices")
    if config.env_key is None and asks_for_key(type(provider)):
        yield Finding("key", "note", "it asks for its key, and config.json names no env_key", KEY_FIX)
    if config.env_key:
        known = provider.get_api_key() is not None
        fix = "" if known else "A run needs it, in the environment or in the .env beside config.json; a check does not."
        yield Finding("key", "ok" if known else "note", f"{config.env_key} is {'' if known else 'not '}set", fix)
