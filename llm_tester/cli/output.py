"""Files that commands write: whole, or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from llm_tester.errors import ConfigurationError


@contextmanager
def written(path: Path) -> Iterator[TextIO]:
    """A file to write to, which takes the place of `path` once it is whole; raises ConfigurationError if it cannot.

    A device or a pipe is written to as it is.
    """
    with _told(path):
        target = path.resolve()
        direct = target.exists() and not target.is_file()
        part = target if direct else target.with_name(f".{target.name[:200]}.{os.getpid()}.part")
        file = part.open("w", encoding="utf-8", newline="")
    try:
        with _told(path), file:
            yield file
        if not direct:
            with _told(path):
                part.replace(target)
    except BaseException:
        if not direct:
            part.unlink(missing_ok=True)
        raise


@contextmanager
def _told(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ConfigurationError(
            f"{path} cannot be written: {error.strerror or error}",
            hint="Name a file in a folder that exists with --output.",
        ) from None
