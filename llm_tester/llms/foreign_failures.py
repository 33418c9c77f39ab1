"""What code of others raises: where in it that was, and what to do about an import that failed."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

from llm_tester.errors import ProviderLoadError

SHOWN = 300
INSTALLED = frozenset({"site-packages", "dist-packages"})


def import_failure(where: str, error: BaseException, own: str = "") -> ProviderLoadError:
    """What an import of the module `own` in the file `where` met, with the line of the provider's code that raised."""
    file = Path(where)
    place = place_in(error, file, _top_of(file, own)) or where
    if isinstance(error, SystemExit):
        return ProviderLoadError(f"{place}: calls sys.exit when it is imported", hint="Take the call out.")
    try:
        said = " ".join(str(error).split())[:SHOWN]
    except Exception as second:  # noqa: BLE001 - an exception of foreign code may not even have a text
        said = f"whose text raises {type(second).__name__}"
    hint = _hint(error, file, own) if isinstance(error, ModuleNotFoundError) and error.name else ""
    return ProviderLoadError(f"{place}: cannot be imported: {type(error).__name__}: {said}", hint=hint)


def place_in(error: BaseException, file: Path, folder: Path | None = None) -> str:
    """file:line of the last frame of an error that is in `file`, or in `folder`; empty where there is none."""
    if isinstance(error, SyntaxError) and error.filename and error.lineno and _is_own(error.filename, file, folder):
        return f"{error.filename}:{error.lineno}"
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if _is_own(frame.filename, file, folder)]
    return f"{own[-1].filename}:{own[-1].lineno}" if own else ""


def _is_own(name: str, file: Path, folder: Path | None) -> bool:
    path = Path(name)
    if path == file:
        return True
    return folder is not None and path.is_relative_to(folder) and not INSTALLED & {*path.relative_to(folder).parts}


def _top_of(file: Path, own: str) -> Path | None:
    """The folder of the package that `file` belongs to; a lone module has none, as anybody's may stand beside it."""
    if own.startswith("llm_tester_providers."):
        return file.parent
    parts = own.split(".")
    depth = len(parts) - (file.stem != "__init__")
    return file.parents[depth - 1] if 0 < depth <= len(file.parents) else None


def _hint(error: ModuleNotFoundError, file: Path, own: str) -> str:
    top, *rest = (error.name or "").split(".")
    if top in ("llm_tester", own.partition(".")[0]) or top in sys.stdlib_module_names or (rest and top in sys.modules):
        return ""
    if _holds(file.parent, top):
        return f"{top} lies beside {file.name}: write from .{top} import ..."
    if top in {parent.name for parent in file.parents}:
        package = next(parent for parent in file.parents if parent.name == top)
        return f"The package is not installed: pip install {_project(package)}"
    above = next((folder for folder in _workspace_of(file) if _holds(folder, top)), None)
    if above is not None:
        return (
            f"{top} lies in {above}, where it is not looked for: move it beside {file.name}, or make a package of it."
        )
    return f"pip install {top}"


def _holds(folder: Path, name: str) -> bool:
    return (folder / f"{name}.py").is_file() or any((folder / name).glob("*.py"))


def _workspace_of(file: Path) -> Sequence[Path]:
    """The folders above one in `providers`, and above a lone file's, where people keep further code."""
    return file.parents[1:4]


def _project(package: Path) -> Path:
    """The folder of a package's pyproject.toml; its own where there is none."""
    return next((folder for folder in package.parents if (folder / "pyproject.toml").is_file()), package)
