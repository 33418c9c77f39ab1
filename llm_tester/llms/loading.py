"""A folder, "module:Class" or file:Class becomes an object: the only place that imports code by name."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from llm_tester.errors import ProviderLoadError


def load_module(file: Path, name: str) -> ModuleType:
    """The module that `file` holds, imported afresh under `name`; raises ProviderLoadError, whatever its code does."""
    spec = importlib.util.spec_from_file_location(name, file, submodule_search_locations=[str(file.parent)])
    if spec is None or spec.loader is None or not file.is_file():
        raise ProviderLoadError(f"{file}: there is no such Python file")
    module = importlib.util.module_from_spec(spec)
    for stale in [known for known in sys.modules if known.startswith(f"{name}.")]:
        del sys.modules[stale]
    before = sys.modules.get(name)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # foreign code may raise anything, SystemExit included
        _restore(name, before)
        raise _import_failure(str(file), error, own=name) from error
    return module


def import_module(name: str) -> ModuleType:
    """An installed module; raises ProviderLoadError, whatever its code does."""
    try:
        return importlib.import_module(name)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        raise _import_failure(name, error) from error


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
    raise ProviderLoadError(f"{where}: {problem}", hint=f"Define exactly one subclass of {base.__name__} in it.")


def attribute_of(module: ModuleType, name: str, *, where: str) -> Any:
    """`module.name`; raises ProviderLoadError that names the file."""
    try:
        return getattr(module, name)
    except AttributeError:
        raise ProviderLoadError(f"{where}: defines no {name}") from None


def _restore(name: str, before: ModuleType | None) -> None:
    if before is None:
        sys.modules.pop(name, None)
    else:
        sys.modules[name] = before


def _import_failure(where: str, error: BaseException, own: str = "") -> ProviderLoadError:
    if isinstance(error, SystemExit):
        return ProviderLoadError(f"{where}: calls sys.exit when it is imported")
    hint = ""
    if isinstance(error, ModuleNotFoundError) and error.name:
        top = error.name.partition(".")[0]
        hint = "" if top in (own.partition(".")[0], "llm_tester") else f"pip install {top}"
    return ProviderLoadError(f"{where}: cannot be imported: {type(error).__name__}: {error}", hint=hint)
