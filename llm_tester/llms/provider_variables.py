"""The environment variables of single providers: OPENAI_BASE_URL, LM_STUDIO_ENDPOINT, and NAME_MODEL for every name."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from llm_tester.catalogue import ProviderConfig
from llm_tester.environment import value_of
from llm_tester.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class ProviderVariables:
    """What a provider reads from the environment; of several names the first that is set counts.

    `hosts` hold an address without `/v1`, `headers` the values of headers. `model` is the model of convenience calls
    where neither a variable nor the catalogue names one.
    """

    base_urls: tuple[str, ...]
    models: tuple[str, ...]
    hosts: tuple[str, ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    model: str | None = None


def variables_of(name: str) -> ProviderVariables:
    """The variables of the provider of that name: its own spellings where it has some, else by the rule."""
    urls: tuple[str, ...] = ("LMSTUDIO_BASE_URL",)
    if name == "lmstudio":
        models = ("LM_STUDIO_MODEL", "LMSTUDIO_MODEL")
        # LM Studio answers with the model that is loaded, whatever the name.
        return ProviderVariables(urls, models, hosts=("LM_STUDIO_ENDPOINT",), model="default")
    word = re.sub(r"[^A-Z0-9]", "_", name.upper())
    headers = {"OpenAI-Organization": "OPENAI_ORGANIZATION"} if name == "openai" else {}
    # Not for every name: GROQ_BASE_URL, for one, is an address of another form to Groq's own client.
    urls = (f"{word}_BASE_URL",) if name in ("openai", "anthropic") else ()
    return ProviderVariables(urls, (f"{word}_MODEL",), headers=headers)


def with_environment(config: ProviderConfig, environment: Mapping[str, str]) -> ProviderConfig:
    """The provider with the address and the headers that the environment names, which win over every file.

    At another host than that of its catalogue it takes any model name.
    """
    variables = variables_of(config.name)
    headers = {header: value_of(environment, name) for header, name in variables.headers.items()}
    changes: dict[str, object] = {}
    if any(headers.values()):
        changes["headers"] = {**config.headers, **{header: value for header, value in headers.items() if value}}
    _, address = named_address(config.name, environment)
    if address and config.base_url is not None:
        changes["base_url"] = address
        # Another host serves models of its own: a proxy, a compatible service.
        elsewhere = urlsplit(address).netloc != urlsplit(config.base_url).netloc
        changes["open_catalogue"] = config.open_catalogue or elsewhere
    return config.model_copy(update=changes) if changes else config


def named_address(provider: str, environment: Mapping[str, str]) -> tuple[str, str]:
    """The variable that names a provider's address, and the address; both empty where none does."""
    variables = variables_of(provider)
    for name in (*variables.hosts, *variables.base_urls):
        address = value_of(environment, name).rstrip("/")
        if not address:
            continue
        if not _is_address(address):
            raise ConfigurationError(
                f"{name}: expected an address that begins with http:// or https://", hint="Correct or unset it."
            )
        adds_version = name in variables.hosts and not address.endswith("/v1")
        return name, f"{address}/v1" if adds_version else address
    return "", ""


def named_model(provider: str, environment: Mapping[str, str]) -> tuple[str, str]:
    """The variable that names a model for convenience calls, and the model; both empty where none does."""
    found = ((name, value_of(environment, name)) for name in variables_of(provider).models)
    return next(((name, model) for name, model in found if model), ("", ""))


def convenient_model(provider: str, environment: Mapping[str, str], default: str | None) -> str | None:
    """The model of a convenience call that names none: the environment's, the catalogue's, else the provider's own."""
    return named_model(provider, environment)[1] or default or variables_of(provider).model


def _is_address(text: str) -> bool:
    try:
        parts = urlsplit(text)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
