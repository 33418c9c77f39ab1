"""Where providers come from, in the order of precedence. Names, paths and JSON only: no code is imported here."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Self

from pydantic import Field, model_validator

from llm_tester.catalogue import NAME_PATTERN
from llm_tester.config import CONFIG_NAME, Workspace
from llm_tester.documents import Document, read_json, validate
from llm_tester.errors import ConfigurationError, LLMTesterError, ProviderLoadError
from llm_tester.llms.loading import Place, locate

PROVIDER_FILE = "provider.py"
EXTERNAL_NAME = "external_providers.json"
ENTRY_POINTS = "llm_tester.providers"
WORKSPACE, BUILT_IN = "workspace", "built in"


class ExternalProvider(Document):
    """One provider of external_providers.json; paths start at the workspace, and may lead anywhere."""

    module: str | None = None
    """The module that holds the class: an installed one, or one in the workspace's folder."""
    path: str | None = None
    """A provider folder, or a Python file, that stands elsewhere."""
    class_name: str | None = Field(default=None, alias="class")
    """The class; the only subclass of BaseLLM where absent."""
    config_path: str | None = None
    """Its config.json, or the folder of that; the one in the package's or the provider's folder where absent."""

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if (self.module is None) == (self.path is None):
            message = 'name either a "module" or a "path"'
            raise ValueError(message)
        return self


@dataclass(frozen=True, slots=True)
class Code:
    """Where a provider's class stands: in a `file` that is loaded by its path, or that is imported as `module`.

    `class_name` is empty for the only class in it. An `optional` one gives way to a built-in class that `api` names.
    """

    file: Path
    module: str = ""
    class_name: str = ""
    optional: bool = False
    search: Path | None = None


@dataclass(frozen=True, slots=True)
class ProviderSource:
    """What one source says of a provider: its folder, its config.json and its code, where it has them.

    `renames` says whether the source's name for it wins over the one in its config.json.
    """

    name: str
    origin: str
    folder: Path
    config: Path | None = None
    code: Code | None = None
    problem: LLMTesterError | None = None
    renames: bool = False


def provider_sources(workspace: Workspace, built_in: Path) -> Iterator[ProviderSource]:
    """Every provider that any source names, those that win first."""
    if workspace.root is not None:
        yield from folders(WORKSPACE, workspace.root / "providers")
        yield from _external(workspace.root)
    yield from _installed()
    yield from folders(BUILT_IN, built_in)


def folders(origin: str, parent: Path) -> Iterator[ProviderSource]:
    """The provider folders in `parent`, by name."""
    for folder in sorted(parent.iterdir()) if parent.is_dir() else ():
        if any(os.path.lexists(folder / name) for name in (CONFIG_NAME, PROVIDER_FILE)):
            yield folder_source(folder.name, origin, folder)


def folder_source(name: str, origin: str, folder: Path) -> ProviderSource:
    """A provider folder: config.json, and provider.py where there is behaviour."""
    file = folder / PROVIDER_FILE
    code = Code(file) if file.is_file() else None
    problem = _leaving((file,), folder) if code else None
    return ProviderSource(name, origin, folder, folder / CONFIG_NAME, code, problem)


def _leaving(files: Iterable[Path], folder: Path) -> ProviderLoadError | None:
    """Why these files are not run: one of them is a link that leads out of the folder."""
    inside = folder.resolve()
    for file in files:
        try:
            left = not file.resolve().is_relative_to(inside)
        except (OSError, RuntimeError):
            left = True
        if left:
            return ProviderLoadError(f"{file}: is a link to outside the provider's folder", hint="Copy the file.")
    return None


def _source(name: str, origin: str, folder: Path, build: Callable[[], ProviderSource]) -> ProviderSource:
    """What `build` makes, or a broken provider that says why it could not."""
    try:
        return build()
    except LLMTesterError as problem:
        return ProviderSource(name, origin, folder, problem=problem)


# --- external_providers.json


def _external(root: Path) -> Iterator[ProviderSource]:
    file = root / EXTERNAL_NAME
    if not file.is_file():
        return
    try:
        entries = read_json(file)
        if not isinstance(entries, dict):
            raise ConfigurationError(
                f"{file}: expected an object with providers' names as keys",
                hint='Such as {"acme": {"module": "acme.llm", "class": "Acme"}}.',
                file=str(file),
            )
    except ConfigurationError as problem:
        yield ProviderSource(EXTERNAL_NAME, EXTERNAL_NAME, root, problem=problem)
        return
    for name, said in entries.items():
        if name != "$schema":
            yield _source(name, EXTERNAL_NAME, root, partial(_named, root, name, said))


def _named(root: Path, name: str, said: Any) -> ProviderSource:
    file = root / EXTERNAL_NAME
    if "\n" in name or not re.match(NAME_PATTERN, name):
        raise ConfigurationError(
            f'{file}: "{name}" cannot be a provider\'s name',
            hint="Use letters, digits, dot, dash, underscore.",
            file=str(file),
            path=name,
        )
    entry = validate(ExternalProvider, said, file=str(file), at=name)
    config = _config_path(root, entry.config_path) if entry.config_path else None
    if entry.module is not None:
        try:
            place = locate(entry.module, root)
        except ProviderLoadError as error:
            raise ProviderLoadError(f"{file}: {name}: {error.message}", hint=error.hint) from None
        return _module_source(name, EXTERNAL_NAME, place, entry.module, entry.class_name or "", config)
    path = (root / Path(entry.path or "").expanduser()).absolute()
    file_of_code = path / PROVIDER_FILE if path.is_dir() else path
    code = Code(file_of_code, class_name=entry.class_name or "") if file_of_code.is_file() else None
    if code is None and not path.is_dir():
        raise ConfigurationError(
            f"{file}: {name}.path: there is no {path}",
            hint="Name a folder with config.json or provider.py, or a Python file.",
            file=str(file),
            path=f"{name}.path",
        )
    folder = path if path.is_dir() else path.parent
    # The path is the user's own word and may lead anywhere; what the folder holds may not lead out of it.
    if code is not None and path.is_dir() and (problem := _leaving((code.file,), path)):
        raise problem
    # A lone file has no config.json of its own: what stands beside it may be anybody's, the workspace's even.
    if config is None and path.is_dir() and (code is None or (path / CONFIG_NAME).is_file()):
        config = path / CONFIG_NAME
    return ProviderSource(name, EXTERNAL_NAME, folder, config, code, renames=True)


def _config_path(root: Path, said: str) -> Path:
    path = (root / Path(said).expanduser()).absolute()
    return path / CONFIG_NAME if path.is_dir() else path


# --- installed packages


def _installed() -> Iterator[ProviderSource]:
    import importlib_metadata

    seen = set()
    for distribution in importlib_metadata.distributions():
        try:
            text = distribution.read_text("entry_points.txt") or ""
        except (OSError, UnicodeDecodeError):
            continue
        # A package that is found twice on the path is the one that comes first; most have nothing to do with us.
        if ENTRY_POINTS not in text or distribution.name in seen:
            continue
        seen.add(distribution.name)
        yield from _entry_points(distribution)


def _entry_points(distribution: Any) -> Iterator[ProviderSource]:
    origin = f"installed: {distribution.name} {distribution.version}"
    folder = Path(str(distribution.locate_file("")))
    try:
        entries = sorted((entry.name, entry.value) for entry in distribution.entry_points.select(group=ENTRY_POINTS))
    except (TypeError, ValueError) as error:
        problem = ProviderLoadError(f"{distribution.name}: its entry points cannot be read: {error}")
        yield ProviderSource(distribution.name, origin, folder, problem=problem)
        return
    for name, value in entries:
        yield _source(name, origin, folder, partial(_entry, name, value, origin))


def _entry(name: str, value: str, origin: str) -> ProviderSource:
    module, _, class_name = value.partition("[")[0].partition(":")
    try:
        place = locate(module.strip())
    except ProviderLoadError as error:
        raise ProviderLoadError(f"{origin}: entry point {name} = {value}: {error.message}", hint=error.hint) from None
    source = _module_source(name, origin, place, module.strip(), class_name.strip())
    files = (*place.executed, *((source.code.file,) if source.code else ()))
    problem = _leaving(files, place.top or place.folder)
    if problem is not None:
        raise problem
    return source


def _module_source(
    name: str, origin: str, place: Place, module: str, class_name: str, config: Path | None = None
) -> ProviderSource:
    """A module or a package by its name. A package is a provider folder too; a lone file has no config.json."""
    file = place.file
    beside = place.folder / CONFIG_NAME
    if config is None and place.top is not None and beside.is_file():
        config = beside
    code: Code | None
    if file is not None or class_name:
        code = Code(file or place.folder / "__init__.py", module, class_name, search=place.search)
    elif (place.folder / PROVIDER_FILE).is_file():
        code = Code(place.folder / PROVIDER_FILE)
    else:
        initial = place.folder / "__init__.py"
        code = Code(initial, module, optional=True, search=place.search) if initial.is_file() else None
        config = config if code else config or beside
    return ProviderSource(name, origin, place.folder, config, code, renames=origin == EXTERNAL_NAME)
