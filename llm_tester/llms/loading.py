"""A folder, "module:Class" or file:Class becomes an object: the only place that imports code by name."""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader, all_suffixes
from operator import attrgetter
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

from llm_tester.errors import ProviderLoadError, suggestion
from llm_tester.llms.foreign_failures import import_failure

EXTERNAL = "external_providers.json"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a module stands, found without importing anything.

    `file` is None for a package, `folder` is the package or the folder of the file, `top` that of its top package (None
    for a lone file). `executed` are the files that an import of it runs; `search` is the folder it was looked for in,
    None for an installed one.
    """

    folder: Path
    file: Path | None = None
    top: Path | None = None
    executed: tuple[Path, ...] = ()
    search: Path | None = None


def locate(name: str, search: Path | None = None) -> Place:
    """Where a module is: its top name, in `search` or else among what is installed, and the path below that.

    Raises ProviderLoadError for a name that cannot be one, and for a module that is not there.
    """
    top, *parts = name.split(".")
    if not all(part.isidentifier() for part in (top, *parts)):
        hint = 'A module is named as package.module. A file or a folder is named as "path" in its place.'
        raise ProviderLoadError(f'"{name}" is not the name of a module', hint=hint)
    if search is not None:
        place = _place(PathFinder.find_spec(top, [str(search)]), parts, search)
        if place is not None:
            return place
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError) as error:
        raise ProviderLoadError(f"the module {top} cannot be found: {error}") from None
    if spec is None:
        path = f'; a file or a folder that stands elsewhere is named as "path" in {EXTERNAL}.'
        hint = "What is installed does not hold it: mend the entry point, and install it again."
        raise ProviderLoadError(f"there is no module {name}", hint=f"pip install {top}{path}" if search else hint)
    place = _place(spec, parts)
    if place is None:
        raise ProviderLoadError(f"there is no module {name}: {spec.origin or top} has none of that name")
    return place


def _place(spec: ModuleSpec | None, parts: Sequence[str], search: Path | None = None) -> Place | None:
    if spec is None:
        return None
    for location in spec.submodule_search_locations or ():
        place = _below(Path(location), parts, search)
        if place is not None:
            return place
    if spec.submodule_search_locations or parts or not spec.has_location:
        return None
    file = Path(spec.origin or "")
    return Place(file.parent, file, executed=(file,), search=search)


def _below(top: Path, parts: Sequence[str], search: Path | None) -> Place | None:
    folder, executed = top, _initial(top)
    for number, part in enumerate(parts, 1):
        inner = folder / part
        file = next((path for suffix in all_suffixes() if (path := folder / f"{part}{suffix}").is_file()), None)
        if file is not None and not _initial(inner):
            return Place(folder, file, top, (*executed, file), search) if number == len(parts) else None
        if not inner.is_dir():
            return None
        folder, executed = inner, (*executed, *_initial(inner))
    return Place(folder, None, top, executed, search)


def _initial(folder: Path) -> tuple[Path, ...]:
    file = folder / "__init__.py"
    return (file,) if file.is_file() else ()


class _FromSource(SourceFileLoader):
    """Never takes compiled code from a cache, which knows two versions of one second and length for the same."""

    def path_stats(self, path: str) -> NoReturn:
        raise OSError("not compared with a cache")


def load_module(file: Path, name: str) -> ModuleType:
    """The module that `file` holds, imported afresh under `name`; raises ProviderLoadError, whatever its code does."""
    spec = importlib.util.spec_from_file_location(
        name, file, loader=_FromSource(name, str(file)), submodule_search_locations=[str(file.parent)]
    )
    if spec is None or spec.loader is None or not file.is_file():
        raise ProviderLoadError(f"{file}: there is no such Python file")
    module = importlib.util.module_from_spec(spec)
    for stale in [known for known in sys.modules if known.startswith(f"{name}.")]:
        del sys.modules[stale]
    before = sys.modules.get(name)
    sys.modules[name] = module
    try:
        with no_abrupt_end():
            spec.loader.exec_module(module)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # foreign code may raise anything, SystemExit included
        _restore(name, before)
        raise import_failure(str(file), error, own=name) from error
    return module


def import_module(name: str, *, file: Path | None = None, search: Path | None = None) -> ModuleType:
    """The module of that name, which is in `file`; raises ProviderLoadError, whatever its code does.

    The folder where it was searched comes first while it is imported, and stands last in sys.path from then on.
    """
    if search is not None:
        _check_not_another(name, search, str(file or name))
        sys.path.insert(0, str(search))
    try:
        with no_abrupt_end():
            return importlib.import_module(name)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        raise import_failure(str(file or name), error, own=name if file else "") from error
    finally:
        if search is not None:
            sys.path.remove(str(search))
            sys.path += [] if str(search) in sys.path else [str(search)]


def _check_not_another(name: str, search: Path, where: str) -> None:
    """Two modules of one name cannot be loaded at once: the second one would silently be the first."""
    top = name.partition(".")[0]
    loaded = sys.modules.get(top)
    locations = [*getattr(loaded, "__path__", ()), getattr(loaded, "__file__", None) or ""]
    if loaded is not None and not Path(locations[0]).is_relative_to(search):
        raise ProviderLoadError(
            f"{where}: another module {top} is loaded already, from {locations[0]}",
            hint='Rename it, or name the file as "path" in place of "module".',
        )


def subclass_in(module: ModuleType, base: type[Any], *, where: str) -> type[Any]:
    """The one subclass of `base` that `module` itself defines."""
    found = {
        value
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, base) and value.__module__ == module.__name__
    }
    if len(found) == 1:
        return found.pop()
    names = ", ".join(sorted(cls.__name__ for cls in found))
    problem = (
        f"defines {len(found)} subclasses of {base.__name__} ({names})" if found else f"defines no {base.__name__}"
    )
    hint = f"Define exactly one subclass of {base.__name__} in it"
    hint += f', or name one as "class" in {EXTERNAL}.' if found else "."
    raise ProviderLoadError(f"{where}: {problem}", hint=hint)


def subclass_named(module: ModuleType, name: str, base: type[Any], *, where: str) -> type[Any]:
    """The subclass of `base` that the module knows under that name."""
    found = attribute_of(module, name, where=where)
    if isinstance(found, type) and issubclass(found, base):
        return found
    raise ProviderLoadError(f"{where}: {name} is no subclass of {base.__name__}", hint=f"Derive it: {base.__name__}.")


def attribute_of(module: ModuleType, name: str, *, where: str) -> Any:
    """`module.name`; raises ProviderLoadError that names the file."""
    try:
        return attrgetter(name)(module)
    except AttributeError:
        classes = [known for known, value in vars(module).items() if isinstance(value, type)]
        near = next((known for known in classes if known.lower() == name.lower()), None)
        hint = f"Did you mean {near}?" if near else suggestion(name, classes)
        raise ProviderLoadError(f"{where}: defines no {name}", hint=hint) from None


@contextmanager
def no_abrupt_end() -> Iterator[None]:
    """Within it os._exit raises SystemExit: foreign code cannot end this process without a word, and with code 0."""
    real, process = os._exit, os.getpid()

    def refused(status: int) -> NoReturn:
        if os.getpid() != process:
            real(status)
        raise SystemExit(status)

    os._exit = refused
    try:
        yield
    finally:
        os._exit = real


@contextmanager
def importable(folder: Path, name: str) -> Iterator[None]:
    """Within it the package `name` is the one in `folder`; afterwards what was loaded of it is forgotten."""

    def loaded() -> list[str]:
        return [known for known in sys.modules if known.partition(".")[0] == name]

    before = {known: sys.modules.pop(known) for known in loaded()}
    sys.path.insert(0, str(folder))
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.path.remove(str(folder))
        for known in loaded():
            del sys.modules[known]
        sys.modules.update(before)


def _restore(name: str, before: ModuleType | None) -> None:
    if before is None:
        sys.modules.pop(name, None)
    else:
        sys.modules[name] = before
