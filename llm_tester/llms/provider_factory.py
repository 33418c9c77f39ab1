"""Finds provider folders, reads what they say, and makes instances. A broken one never stops the others."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
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
from llm_tester.llms.loading import load_module, subclass_in
from llm_tester.llms.provider_variables import with_environment
from llm_tester.llms.retry import RetryPolicy

PACKAGE = Path(__file__).resolve().parent.parent
PROVIDER_FILE = "provider.py"
APIS: dict[str, type[BaseLLM]] = {"anthropic": AnthropicMessages, "openai": OpenAICompatible, "replay": ReplayLLM}


@dataclass(frozen=True, slots=True)
class DiscoveredProvider:
    """A provider folder: where it was found, and its configuration as this workspace sees it, or why it is broken."""

    name: str
    folder: Path
    source: str
    config: ProviderConfig | None = None
    problem: LLMTesterError | None = None
    enabled: bool = True
    shadows: tuple[Path, ...] = ()


def builtin_folder(name: str) -> Path:
    """The shipped `providers` or `tasks`: inside the installed package, else in the checkout."""
    inside = PACKAGE / name
    return inside if inside.is_dir() else PACKAGE.parent / name


def load_provider_config(folder: Path) -> ProviderConfig:
    """A folder's config.json, checked; the paths in it are absolute afterwards and lie inside the folder."""
    file = folder / CONFIG_NAME
    config = validate(ProviderConfig, read_json(file), file=str(file))
    if config.name != folder.name:
        raise ConfigurationError(
            f'{file}: name: "{config.name}" is not the folder\'s name "{folder.name}"',
            hint="Give both the same name.",
            file=str(file),
            path="name",
        )
    if config.api is None and not (folder / PROVIDER_FILE).is_file():
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
    models = tuple(_inside(entry, folder, file) for entry in config.llm_models)
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
    """Every provider by name, in the order of precedence: the workspace's own folders, then the built-in ones.

    JSON is read and no code imported. A name that is found again elsewhere is noted at the winner.
    """
    found: dict[str, DiscoveredProvider] = {}
    seen: set[Path] = set()
    for source, folder in _folders(workspace):
        resolved = folder.resolve()
        if resolved in seen:
            continue
        winner = found.get(folder.name)
        provider = replace(winner, shadows=(*winner.shadows, folder)) if winner else _read(folder, source, workspace)
        if winner is not None or provider.problem is None:
            # A broken way to a folder, a link of another name for one, leaves it to be found by the right way.
            seen.add(resolved)
        found[folder.name] = provider
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


def _folders(workspace: Workspace) -> Iterator[tuple[str, Path]]:
    sources = [("built in", builtin_folder("providers"))]
    if workspace.root is not None:
        sources.insert(0, ("workspace", workspace.root / "providers"))
    for source, parent in sources:
        if parent.is_dir():
            for folder in sorted(parent.iterdir()):
                if any((folder / name).is_file() for name in (CONFIG_NAME, PROVIDER_FILE)):
                    yield source, folder


def _read(folder: Path, source: str, workspace: Workspace) -> DiscoveredProvider:
    override = workspace.settings.providers.get(folder.name)
    enabled = override.enabled if override else True
    try:
        config = load_provider_config(folder)
        config = config.model_copy(update={"tls": _own_tls(config, folder)})
        if override is not None:
            config = merge(config, _rooted(override, workspace))
        config = with_environment(config, workspace.environment)
    except LLMTesterError as problem:
        return DiscoveredProvider(folder.name, folder, source, problem=problem, enabled=enabled)
    return DiscoveredProvider(folder.name, folder, source, config, enabled=enabled)


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
    """The class that serves a folder: its provider.py's, else the one that `api` names."""
    config = _usable(provider)
    file = provider.folder / PROVIDER_FILE
    if file.is_file():
        if not file.resolve().is_relative_to(provider.folder.resolve()):
            raise ProviderLoadError(f"{file}: is a link to outside the provider's folder", hint="Copy the file.")
        module = load_module(file, f"llm_tester_providers.{provider.name}")
        return subclass_in(module, BaseLLM, where=str(file))
    return APIS[config.api or ""]


def _usable(provider: DiscoveredProvider) -> ProviderConfig:
    if provider.config is None:
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
    file = str(provider.folder / CONFIG_NAME)
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
            f"{provider.folder}: {chosen.__name__} cannot be made: {type(error).__name__}: {error}"
        ) from error
    if getattr(instance, "config", None) is not config:
        raise ProviderLoadError(
            f"{provider.folder}: {chosen.__name__}.__init__ does not hand its config on",
            hint="Call super().__init__(config) in it.",
        )
    instance.environment = workspace.environment or instance.environment
    instance.retry = instance.retry or RetryPolicy(**workspace.settings.retry.model_dump())
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
    file, path = provider.folder / CONFIG_NAME, "transport"
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
        raise UnknownProviderError(f'there is no provider "{name}"', hint=suggestion(name, providers))
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
