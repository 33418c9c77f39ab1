"""Every setting of a workspace with its value and where that comes from; a key's value is never among them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, get_args
from urllib.parse import urlsplit, urlunsplit

from pydantic import BaseModel, SecretStr

from llm_tester.catalogue import ProviderOverride, TLSSettings
from llm_tester.config import CONFIG_NAME, Settings, Workspace
from llm_tester.environment import OLD_PREFIX, PREFIX, VARIABLES, value_of
from llm_tester.llms.llm_registry import ProviderRegistry, default_registry
from llm_tester.llms.policy_settings import breaker_settings, fallback_settings, retry_settings
from llm_tester.llms.provider_factory import DiscoveredProvider
from llm_tester.llms.provider_variables import named_address, named_model, variables_of

DEFAULT, UNSET = "default", "not set"
PROVIDER_DEFAULT = "openai"


@dataclass(frozen=True, slots=True)
class ConfigValue:
    """A setting's value as JSON has it; `source` is a variable, config.json, a provider's catalogue or `default`."""

    name: str
    value: Any
    source: str


def config_values(registry: ProviderRegistry) -> list[ConfigValue]:
    """All settings, variables and providers, in the order in which people look for them."""
    workspace = registry.workspace
    providers = (value for found in registry.discovered().values() for value in _of_provider(found, workspace))
    return [*_of_settings(workspace), *_of_variables(workspace), *providers]


def get_settings(workspace: Workspace | None = None) -> Settings:
    """The settings of a workspace, that of the default registry where none is given, with its variables over them."""
    here = workspace or default_registry().workspace
    project = {"project": here.environment["LLM_TESTER_PROJECT"]} if here.environment.get("LLM_TESTER_PROJECT") else {}
    run = here.settings.run.model_copy(update=project)
    policy = {
        "retry": retry_settings(here),
        "circuit_breaker": breaker_settings(here),
        "fallback": fallback_settings(here),
    }
    return here.settings.model_copy(update={"run": run, "tls": here.tls(None), **policy})


def get_provider_config(workspace: Workspace | None = None) -> dict[str, Any]:
    """What calls go by, as a dict: the default provider, OpenAI and LM Studio, and the policy around a call."""
    registry = ProviderRegistry(workspace) if workspace else default_registry()
    here = registry.workspace
    policy = get_settings(here).model_dump(exclude={"schema_", "providers"})
    openai, lmstudio = (registry.discovered()[name] for name in ("openai", "lmstudio"))
    key = here.environment.get("OPENAI_API_KEY")
    return {
        "default_provider": value_of(here.environment, "LLM_TESTER_PROVIDER") or PROVIDER_DEFAULT,
        "openai": {"api_key": SecretStr(key) if key else None, **_address_and_model(openai, here, "base_url")},
        "lmstudio": _address_and_model(lmstudio, here, "endpoint"),
        **policy,
    }


def _address_and_model(found: DiscoveredProvider, workspace: Workspace, word: str) -> dict[str, Any]:
    model = named_model(found.name, workspace.environment)[1]
    if found.config is None:
        return {word: None, "model": model or None}
    default = found.config.default_model or variables_of(found.name).model
    return {word: found.config.base_url, "model": model or default}


def _source_of(variable: str, workspace: Workspace) -> str:
    older = OLD_PREFIX + variable.removeprefix(PREFIX) if variable.startswith(PREFIX) else variable
    name = older if workspace.environment.get(older) == workspace.environment.get(variable) else variable
    return f"{name} in .env" if name in workspace.from_dotenv else name


def _of_settings(workspace: Workspace) -> Iterator[ConfigValue]:
    by_setting = {variable.setting: variable.name for variable in VARIABLES if variable.setting}
    settings = workspace.settings
    for path, value, named in _leaves(settings, ""):
        variable = by_setting.get(path, "")
        said = value_of(workspace.environment, variable) if variable else ""
        if said:
            yield ConfigValue(path, said, _source_of(variable, workspace))
        elif path == "run.project" and not named:
            yield ConfigValue(path, workspace.project, "the folder's name" if workspace.root else DEFAULT)
        else:
            yield ConfigValue(path, value, CONFIG_NAME if named else DEFAULT)


def _leaves(document: BaseModel, above: str) -> Iterator[tuple[str, Any, bool]]:
    """Path, value and whether it is written down, for every setting but those of providers."""
    for name, field in type(document).model_fields.items():
        if name in ("schema_", "providers"):
            continue
        value = getattr(document, name)
        if isinstance(value, BaseModel):
            yield from _leaves(value, f"{above}{name}.")
        elif value is None and TLSSettings in get_args(field.annotation):
            # The one part that is absent by default and has defaults of its own.
            yield from _leaves(TLSSettings(), f"{above}{name}.")
        else:
            yield f"{above}{name}", document.model_dump(mode="json")[name], name in document.model_fields_set


def _of_variables(workspace: Workspace) -> Iterator[ConfigValue]:
    for variable in VARIABLES:
        if not variable.setting:
            said = value_of(workspace.environment, variable.name)
            source = _source_of(variable.name, workspace) if said else DEFAULT
            yield ConfigValue(variable.name, said or variable.default or None, source)


def _of_provider(found: DiscoveredProvider, workspace: Workspace) -> Iterator[ConfigValue]:
    at = f"providers.{found.name}"
    override = workspace.settings.providers.get(found.name, ProviderOverride())
    written = override.model_fields_set
    yield ConfigValue(f"{at}.enabled", found.enabled, CONFIG_NAME if "enabled" in written else DEFAULT)
    if found.config is None:
        yield ConfigValue(f"{at}.problem", str(found.problem), str(found.folder))
        return
    ours = f"{found.source} catalogue"
    variable, model = named_model(found.name, workspace.environment)
    yield ConfigValue(f"{at}.default_model", found.config.default_model, _written("default_model", override, ours))
    if model:
        yield ConfigValue(f"{at}.default_model of convenience calls", model, _source_of(variable, workspace))
    if found.config.base_url is not None:
        variable = named_address(found.name, workspace.environment)[0]
        source = _source_of(variable, workspace) if variable else _written("base_url", override, ours)
        yield ConfigValue(f"{at}.base_url", without_login(found.config.base_url), source)
    if found.config.env_key:
        held = bool(workspace.environment.get(found.config.env_key))
        source = _source_of(found.config.env_key, workspace)
        yield ConfigValue(f"{at}.key", "set" if held else UNSET, source)
    for name in ("max_connections", "timeout"):
        yield ConfigValue(f"{at}.{name}", getattr(found.config, name), _written(name, override, ours))


def _written(name: str, override: ProviderOverride, otherwise: str) -> str:
    marked = name == "default_model" and any(entry.default for entry in override.llm_models)
    return CONFIG_NAME if marked or name in override.model_fields_set else otherwise


def without_login(address: str) -> str:
    """An address without the name and password that may stand in it."""
    parts = urlsplit(address)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
