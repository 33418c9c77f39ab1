"""Retries, circuit breaker and fallback as the environment and config.json say; the environment wins."""

from __future__ import annotations

from typing import Any, TypeVar

from pydantic import ValidationError

from llm_tester.config import CircuitBreakerSettings, FallbackSettings, RetrySettings, Workspace
from llm_tester.documents import Document
from llm_tester.errors import ConfigurationError

Section = TypeVar("Section", bound=Document)

_RETRY = {
    "max_retries": "PROVIDER_MAX_RETRIES",
    "initial_delay": "PROVIDER_INITIAL_DELAY",
    "exponential_base": "PROVIDER_EXPONENTIAL_BASE",
    "max_delay": "PROVIDER_MAX_DELAY",
    "jitter": "PROVIDER_JITTER",
}
_BREAKER = {
    "enabled": "PROVIDER_CIRCUIT_BREAKER_ENABLED",
    "failure_threshold": "PROVIDER_FAILURE_THRESHOLD",
    "recovery_timeout": "PROVIDER_RECOVERY_TIMEOUT",
}
_FALLBACK = {"enabled": "PROVIDER_FALLBACK_ENABLED", "order": "PROVIDER_FALLBACK_ORDER"}


def retry_settings(workspace: Workspace) -> RetrySettings:
    """How failed calls are tried again here."""
    return _over(workspace, workspace.settings.retry, _RETRY)


def breaker_settings(workspace: Workspace) -> CircuitBreakerSettings:
    """When a model that keeps failing is left alone here."""
    return _over(workspace, workspace.settings.circuit_breaker, _BREAKER)


def fallback_settings(workspace: Workspace) -> FallbackSettings:
    """Which providers stand in for others here; PROVIDER_FALLBACK_ORDER is a list with commas."""
    return _over(workspace, workspace.settings.fallback, _FALLBACK)


def chains_of(workspace: Workspace) -> dict[str, tuple[tuple[str, str], ...]]:
    """The chains of config.json by name, as provider and model of each link; none may stand in another."""
    found = {}
    for name, models in workspace.settings.fallback.chains.items():
        links = tuple((model[: _colon(model)], model[_colon(model) + 1 :]) for model in models)
        twice = len(set(links)) < len(links)
        if twice or any(provider == "chain" for provider, _ in links):
            what = "names a model twice" if twice else "names another chain"
            raise ConfigurationError(
                f'the chain "{name}" {what}', hint="Name models, each once.", path=f"fallback.chains.{name}"
            )
        found[name] = links
    return found


def _colon(model: str) -> int:
    return min(place for sign in ":/" if (place := model.find(sign)) > 0)


def _over(workspace: Workspace, settings: Section, variables: dict[str, str]) -> Section:
    texts = {field: workspace.environment.get(name, "").strip() for field, name in variables.items()}
    said = {field: _value(field, text) for field, text in texts.items() if text}
    if not said:
        return settings
    try:
        return type(settings).model_validate({**settings.model_dump(), **said})
    except ValidationError as error:
        first = error.errors()[0]
        field = str(first["loc"][0])
        raise ConfigurationError(
            f'{variables[field]} is "{texts[field]}": {first["msg"].lower()}', hint="Correct or unset it."
        ) from None


def _value(field: str, text: str) -> Any:
    return [name.strip() for name in text.split(",") if name.strip()] if field == "order" else text
