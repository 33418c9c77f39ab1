"""Finds provider folders, reads what they say, and makes instances. A broken one never stops the others."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from llm_tester.catalogue import ModelEntry, ProviderConfig, ProviderOverride, TLSSettings, merge
from llm_tester.config import CONFIG_NAME, Workspace
from llm_tester.documents import Document, read_json, validate
from llm_tester.environment import DISABLED, is_on
from llm_tester.errors import ConfigurationError, LLMTesterError, ProviderLoadError, UnknownProviderError, suggestion
from llm_tester.llms.apis.anthropic import AnthropicMessages
from llm_tester.llms.apis.openai_compatible import OpenAICompatible
from llm_tester.llms.apis.replay import ReplayLLM
from llm_tester.llms.base import BaseLLM
from llm_tester.llms.declarations import misspelt
from llm_tester.llms.loading import import_module, load_module, subclass_in, subclass_named
from llm_tester.llms.policy_settings import retry_settings
from llm_tester.llms.provider_sources import (
    BUILT_IN,
    EXTERNAL_NAME,
    PROVIDER_FILE,
    WORKSPACE,
    Code,
    ProviderSource,
    provider_sources,
)
from llm_tester.llms.provider_variables import with_environment
from llm_tester.llms.retry import RetryPolicy

PACKAGE = Path(__file__).resolve().parent.parent
APIS: dict[str, type[BaseLLM]] = {"anthropic": AnthropicMessages, "openai": OpenAICompatible, "replay": ReplayLLM}


@dataclass(frozen=True, slots=True)
class DiscoveredProvider:
    """A provider: where it was found, and its configuration as this workspace sees it, or why it is broken.

    `shadows` are the folders of others of its name that it won over.
    """

    name: str
    folder: Path
    source: str
    config: ProviderConfig | None = None
    problem: LLMTesterError | None = None
    enabled: bool = True
    shadows: tuple[Path, ...] = ()
    code: Code | None = None
    config_file: Path | None = None


def builtin_folder(name: str) -> Path:
    """The shipped `providers` or `tasks`: inside the installed package, else in the checkout."""
    inside = PACKAGE / name
    return inside if inside.is_dir() else PACKAGE.parent / name


def load_provider_config(folder: Path) -> ProviderConfig:
    """A folder's config.json, checked; the paths in it are absolute afterwards and lie inside the folder."""
    return _load(folder / CONFIG_NAME, folder.name, "folder", has_code=(folder / PROVIDER_FILE).is_file())


def read_source(source: ProviderSource) -> ProviderConfig:
    """What a source's config.json says, checked; an open catalogue without prices where a class has none."""
    if source.problem is not None:
        raise source.problem
    if source.config is None:
        return validate(ProviderConfig, {"name": source.name, "open_catalogue": True}, file=str(source.folder))
    own_folder = source.origin in (WORKSPACE, BUILT_IN)
    name = None if source.renames else source.name
    config = _load(source.config, name, "folder" if own_folder else "entry point", has_code=source.code is not None)
    config = config.model_copy(update={"tls": _own_tls(config, source.config.parent)})
    return config.model_copy(update={"name": source.name}) if source.renames else config


def read_config(file: Path) -> Any:
    """The JSON value in a config.json; a pipe or a device of that name is an error, as reading it might never end."""
    if os.path.lexists(file) and not file.is_file():
        raise ConfigurationError(f"{file}: is not a file, or a link that leads nowhere", file=str(file))
    return read_json(file)


def _load(file: Path, name: str | None, named_by: str, *, has_code: bool) -> ProviderConfig:
    if has_code and not file.is_file():
        raise ConfigurationError(
            f"{file}: there is no such file",
            hint=f'Beside provider.py it says at least {{"name": "{name}", "open_catalogue": true}}.'
            if name
            else f'Mend "config_path" in {EXTERNAL_NAME}, or leave it away.',
            file=str(file),
        )
    config = validate(ProviderConfig, read_config(file), file=str(file))
    if name is not None and config.name != name:
        raise ConfigurationError(
            f'{file}: name: "{config.name}" is not the {named_by}\'s name "{name}"',
            hint="Give both the same name.",
            file=str(file),
            path="name",
        )
    if config.api is None and not has_code:
        raise ConfigurationError(
            f'{file}: neither "api" names a built-in class nor is there a provider.py beside it',
            hint=f"Built-in: {', '.join(sorted(APIS))}.",
            file=str(file),
            path="api",
        )
    if config.api is not None and config.api not in APIS:
        raise ConfigurationError(
            f'{file}: api: there is no built-in "{config.api}"',
            hint=suggestion(config.api, APIS),
            file=str(file),
            path="api",
        )
    models = tuple(_inside(entry, file.parent, file) for entry in config.llm_models)
    return config.model_copy(update={"llm_models": models})


def _inside(entry: ModelEntry, folder: Path, file: Path) -> ModelEntry:
    if entry.answers is None:
        return entry
    try:
        path = (folder / entry.answers).resolve()
    except (OSError, RuntimeError):
        raise ConfigurationError(f'{file}: the answers of "{entry.name}" are a link that leads nowhere') from None
    if not path.is_relative_to(folder.resolve()):
        raise ConfigurationError(
            f'{file}: the answers of "{entry.name}" lie outside the provider\'s folder: {entry.answers}',
            hint="Only the workspace's config.json may name a file elsewhere, under providers.<name>.llm_models.",
            file=str(file),
        )
    return entry.model_copy(update={"answers": str(path)})


def discover(workspace: Workspace) -> dict[str, DiscoveredProvider]:
    """Every provider by name: the workspace's folders win, then external_providers.json, installed packages, built in.

    JSON is read and no code imported. A name that is found again elsewhere is noted at the winner.
    """
    found: dict[str, DiscoveredProvider] = {}
    seen: set[tuple[str, Path]] = set()
    for source in provider_sources(workspace, builtin_folder("providers")):
        place = (source.name, source.folder.resolve())
        if place in seen:
            continue
        seen.add(place)
        winner = found.get(source.name)
        found[source.name] = (
            replace(winner, shadows=(*winner.shadows, source.folder)) if winner else discovered(source, workspace)
        )
    for name in sorted(set(workspace.settings.providers) - set(found)):
        found[name] = _missing(name, found, workspace)
    return found


def _missing(name: str, found: Iterable[str], workspace: Workspace) -> DiscoveredProvider:
    folder = (workspace.root or Path.cwd()) / "providers" / name
    problem = UnknownProviderError(
        f'{CONFIG_NAME}: providers.{name}: there is no provider "{name}"',
        hint=suggestion(name, found),
        file=str(folder.parent.parent / CONFIG_NAME),
        path=f"providers.{name}",
    )
    return DiscoveredProvider(name, folder, CONFIG_NAME, problem=problem)


def discovered(source: ProviderSource, workspace: Workspace) -> DiscoveredProvider:
    """A provider as this workspace sees it; what is wrong with it is its `problem`."""
    override = workspace.settings.providers.get(source.name)
    provider = DiscoveredProvider(
        source.name,
        source.folder,
        source.origin,
        enabled=override.enabled if override else True,
        code=source.code,
        config_file=source.config,
    )
    try:
        config = read_source(source)
        if override is not None:
            config = merge(config, _rooted(override, workspace))
        config = with_environment(config, workspace.environment)
    except LLMTesterError as problem:
        return replace(provider, problem=problem)
    return replace(provider, config=config)


def _rooted(override: ProviderOverride, workspace: Workspace) -> ProviderOverride:
    """Paths in the workspace's config.json start at its folder."""
    root = workspace.root or Path.cwd()
    entries = tuple(
        entry.model_copy(update={"answers": str((root / entry.answers).resolve())}) if entry.answers else entry
        for entry in override.llm_models
    )
    return override.model_copy(update={"llm_models": entries, "tls": override.tls and override.tls.below(root)})


def _own_tls(config: ProviderConfig, folder: Path) -> TLSSettings | None:
    """The TLS settings of a provider's own file; its paths may not leave the folder."""
    if config.tls is None:
        return None
    found = config.tls.below(folder)
    for name in ("cert_file", "key_file", "ca_file"):
        path = getattr(found, name)
        if path and not Path(path).resolve().is_relative_to(folder.resolve()):
            raise ConfigurationError(
                f"{folder / CONFIG_NAME}: tls.{name} lies outside the provider's folder: {getattr(config.tls, name)}",
                hint="Only the workspace's config.json may name a file elsewhere.",
                file=str(folder / CONFIG_NAME),
                path=f"tls.{name}",
            )
    return found


def provider_class(provider: DiscoveredProvider) -> type[BaseLLM]:
    """The class that serves a provider: that of its own code, else the one that `api` names."""
    config, code = _usable(provider), provider.code
    if code is None or (code.optional and config.api):
        return APIS[config.api or ""]
    where = str(code.file)
    if code.module:
        module = import_module(code.module, file=code.file, search=code.search)
    else:
        module = load_module(code.file, f"llm_tester_providers.{provider.name}")
    if code.class_name:
        return subclass_named(module, code.class_name, BaseLLM, where=where)
    return subclass_in(module, BaseLLM, where=where)


def _usable(provider: DiscoveredProvider) -> ProviderConfig:
    if provider.problem is not None or provider.config is None:
        raise provider.problem or ProviderLoadError(f"{provider.folder}: cannot be used")
    if not provider.enabled:
        raise ConfigurationError(
            f'the provider "{provider.name}" is disabled in the workspace\'s config.json',
            hint=f"Set providers.{provider.name}.enabled to true.",
        )
    return provider.config


def instantiate(provider: DiscoveredProvider, workspace: Workspace) -> BaseLLM:
    """An instance for a discovered folder; raises ConfigurationError or ProviderLoadError that says what is wrong."""
    chosen = provider_class(provider)
    config = _usable(provider)
    _allowed(config, chosen, workspace)
    config = config.model_copy(update={"tls": workspace.tls(config.tls)})
    file = str(provider.config_file or provider.folder)
    _check_transport(chosen, provider, workspace)
    _check_options(chosen, chosen.options_type, config.options, file, "options")
    for entry in config.llm_models:
        _check_options(chosen, chosen.model_options_type, entry.options, file, f"llm_models[{entry.name}].options")
    try:
        instance = chosen(config)
    except LLMTesterError:
        raise
    except (Exception, SystemExit) as error:
        raise ProviderLoadError(
            f"{provider.folder}: {chosen.__name__} cannot be made: {type(error).__name__}: {error}",
            hint=misspelt(chosen),
        ) from error
    if getattr(instance, "config", None) is not config:
        raise ProviderLoadError(
            f"{provider.folder}: {chosen.__name__}.__init__ does not hand its config on",
            hint="Call super().__init__(config) in it.",
        )
    instance.environment = workspace.environment or instance.environment
    instance.retry = instance.retry or RetryPolicy(**retry_settings(workspace).model_dump())
    return instance


def _allowed(config: ProviderConfig, chosen: type[BaseLLM], workspace: Workspace) -> None:
    if is_on(workspace.environment, DISABLED) and not (config.simulated or chosen.simulated):
        raise ConfigurationError(
            f'the provider "{config.name}" is forbidden by {DISABLED}, as all that are not simulated',
            hint="Unset it, or use stub, null or mock.",
        )


def _check_transport(chosen: type[BaseLLM], provider: DiscoveredProvider, workspace: Workspace) -> None:
    if _usable(provider).transport == "http" or chosen.takes_sdk():
        return
    file, path = provider.config_file or provider.folder, "transport"
    override = workspace.settings.providers.get(provider.name)
    if override is not None and override.transport is not None:
        file, path = (workspace.root or Path.cwd()) / CONFIG_NAME, f"providers.{provider.name}.transport"
    able = [f'"{api}"' for api, kind in sorted(APIS.items()) if kind.takes_sdk()]
    raise ConfigurationError(
        f'{file}: {path}: there is no official client that could carry the calls of {chosen.__name__}: expected "http"',
        hint=f'"sdk" is for providers with "api": {" or ".join(able)}.',
        file=str(file),
        path=path,
    )


def _check_options(chosen: type[BaseLLM], kind: type[Document] | None, options: Any, file: str, at: str) -> None:
    if kind is not None:
        validate(kind, options, file=file, at=at)
    elif options:
        raise ConfigurationError(f"{file}: {at}: {chosen.__name__} takes none", hint="Remove them.", file=file, path=at)


def find(name: str, providers: dict[str, DiscoveredProvider]) -> DiscoveredProvider:
    """The discovered provider of that name; raises UnknownProviderError with near names."""
    provider = providers.get(name)
    if provider is None:
        unread = providers.get(EXTERNAL_NAME)
        hint = f"It may be in what cannot be read: {unread.problem}" if unread else suggestion(name, providers)
        raise UnknownProviderError(f'there is no provider "{name}"', hint=hint)
    return provider


def create_provider(provider_name: str, workspace: Workspace | None = None) -> BaseLLM:
    """A new instance of the provider of that name, as the workspace at or above the current folder sees it."""
    here = workspace or Workspace.find(Path.cwd(), os.environ)
    return instantiate(find(provider_name, discover(here)), here)


def discover_provider_classes(workspace: Workspace | None = None) -> dict[str, type[BaseLLM]]:
    """The classes of all usable providers by name; this imports their code."""
    here = workspace or Workspace.find(Path.cwd(), os.environ)
    classes: dict[str, type[BaseLLM]] = {}
    for name, provider in discover(here).items():
        try:
            classes[name] = provider_class(provider)
        except LLMTesterError:
            continue
    return classes
