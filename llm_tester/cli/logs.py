"""The program's log file: what the library and the libraries under it have to say of each call."""

from __future__ import annotations

import logging
import time
from pathlib import Path
from typing import Literal

from llm_tester.errors import ConfigurationError

Level = Literal["debug", "info", "warning"]


def start(file: Path, level: Level) -> None:
    """Append all loggers' records from `level` on to `file`; times are UTC."""
    try:
        handler = logging.FileHandler(file, encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        raise ConfigurationError(f"--log {file}: {error.strerror}", hint="Name a file that can be written.") from None
    form = logging.Formatter("%(asctime)s.%(msecs)03dZ %(levelname)s %(name)s: %(message)s", "%Y-%m-%dT%H:%M:%S")
    form.converter = time.gmtime
    handler.setFormatter(form)
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
