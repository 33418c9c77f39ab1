"""What a stretch of work took: seconds, CPU seconds and peak memory of this process."""

from __future__ import annotations

import json
import resource
import sys
import time
from types import TracebackType
from typing import Self


class Gauge:
    """Measures between entering and leaving, and then prints the figures as one line of JSON."""

    def __init__(self) -> None:
        self.extra: dict[str, float] = {}

    def __enter__(self) -> Self:
        self.started, self._cpu = time.perf_counter(), time.process_time()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._wall, self._cpu = time.perf_counter() - self.started, time.process_time() - self._cpu

    def tell(self) -> None:
        """Print what was measured."""
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        figures = {"seconds": self._wall, "cpu": self._cpu, "peak_mb": peak, **self.extra}
        sys.stdout.write(json.dumps(figures) + "\n")
