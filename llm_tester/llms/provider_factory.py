"""Finds provider folders, reads what they say, and makes instances. A broken one never stops the others."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from llm_tester.catalogue import ModelEntry, ProviderConfig, merge
from llm_tester.config import Workspace
from llm_tester.documents import read_json, validate
from llm_tester.errors import ConfigurationError, LLMTesterError, ProviderLoadError, UnknownProviderError, suggestion
from llm_tester.llms.apis.replay import ReplayLLM
from llm_tester.llms.base import BaseLLM
from llm_tester.llms.loading import load_module, subclass_in

PACKAGE = Path(__file__).resolve().parent.parent
APIS: dict[str, type[BaseLLM]] = {"replay": ReplayLLM}


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
    file = folder / "config.json"
    config = validate(ProviderConfig, read_json(file), file=str(file))
    if config.name != folder.name:
        raise ConfigurationError(
            f'{file}: name: "{config.name}" is not the folder\'s name "{folder.name}"',
            hint="Give both the same name.",
            file=str(file),
            path="name",
        )
    if config.api is None and not (folder / "provider.py").is_file():
        raise ConfigurationError(
            f'{file}: neither "api" names a built-in class nor is there a provider.py beside it',
            hint=f"Built-in: {', '.join(sorted(APIS))}.",
            file=str(file),
            path="api",
        )
    if config.api is not None and config.api not in APIS:
        raise ConfigurationError(
            f'{file}: api: there is no built-in "{config.api}"', hint=suggestion(config.api, APIS), file=str(file)
        )
    models = tuple(_inside(entry, folder, file) for entry in config.llm_models)
    return config.model_copy(update={"llm_models": models})


def _inside(entry: ModelEntry, folder: Path, file: Path) -> ModelEntry:
    if entry.answers is None:
        return entry
    path = (folder / entry.answers).resolve()
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
        seen.add(resolved)
        winner = found.get(folder.name)
        if winner is not None:
            found[folder.name] = replace(winner, shadows=(*winner.shadows, folder))
        else:
            found[folder.name] = _read(folder, source, workspace)
    return found


def _folders(workspace: Workspace) -> Iterator[tuple[str, Path]]:
    sources = [("built in", builtin_folder("providers"))]
    if workspace.root is not None:
        sources.insert(0, ("workspace", workspace.root / "providers"))
    for source, parent in sources:
        if parent.is_dir():
            for folder in sorted(parent.iterdir()):
                if folder.is_dir() and (folder / "config.json").exists():
                    yield source, folder


def _read(folder: Path, source: str, workspace: Workspace) -> DiscoveredProvider:
    override = workspace.settings.providers.get(folder.name)
    enabled = override.enabled if override else True
    try:
        config = load_provider_config(folder)
    except LLMTesterError as problem:
        return DiscoveredProvider(folder.name, folder, source, problem=problem, enabled=enabled)
    if override is not None and workspace.root is not None:
        root = workspace.root
        entries = tuple(
            entry.model_copy(update={"answers": str((root / entry.answers).resolve())}) if entry.answers else entry
            for entry in override.llm_models
        )
        config = merge(config, override.model_copy(update={"llm_models": entries}))
    return DiscoveredProvider(folder.name, folder, source, config, enabled=enabled)


def provider_class(provider: DiscoveredProvider) -> type[BaseLLM]:
    """The class that serves a folder: its provider.py's, else the one that `api` names."""
    config = _usable(provider)
    file = provider.folder / "provider.py"
    if file.is_file():
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
    if chosen.options_type is not None:
        file = str(provider.folder / "config.json")
        validate(chosen.options_type, config.options, file=f"{file}: options")
    elif config.options:
        raise ConfigurationError(f"{provider.folder / 'config.json'}: options: {chosen.__name__} takes none")
    try:
        instance = chosen(config)
    except LLMTesterError:
        raise
    except Exception as error:
        raise ProviderLoadError(
            f"{provider.folder}: {chosen.__name__} cannot be made: {type(error).__name__}: {error}"
        ) from error
    instance.environment = workspace.environment or instance.environment
    return instance


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
