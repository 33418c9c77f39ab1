"""A guard that keeps code in this process from using the network while it is tried out."""

from __future__ import annotations

import sys
import threading
from types import TracebackType
from typing import Any, Self

REFUSED = frozenset(
    {
        "socket.connect",
        "socket.getaddrinfo",
        "socket.gethostbyname",
        "socket.gethostbyaddr",
        "socket.sendto",
        "socket.sendmsg",
        "subprocess.Popen",
        "os.system",
        "os.exec",
        "os.fork",
        "os.forkpty",
        "os.posix_spawn",
        "os.spawn",
    }
)
CONNECTION = "a connection to"
HOST = "127.0.0.1"
BESIDE_PYTHON = ("grpc", "pycurl", "curl_cffi")
"""Libraries with a network of their own, which Python does not see."""


class RefusedError(OSError):
    """A connection, or another program, that was not allowed."""


_armed: list[NetworkGuard] = []
"""The guards that are entered now."""
_hooked = threading.Lock()
"""Taken once the process has the hook, for good."""


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    if event in REFUSED:
        for guard in tuple(_armed):
            guard.judge(event, arguments)


class NetworkGuard:
    """Within a `with`, Python code of this process starts no program and connects nowhere but to an allowed port.

    What tried to is in `refused`. Libraries with a network of their own are named by `unseen`.
    """

    def __init__(self, allowed_port: int | None = None) -> None:
        self.refused: list[str] = []
        self._allowed_port = allowed_port
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        # An audit hook cannot be taken away again, and each costs something at every import: one does for all guards.
        if _hooked.acquire(blocking=False):
            sys.addaudithook(_hook)
        _armed.append(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _armed.remove(self)

    @staticmethod
    def unseen() -> tuple[str, ...]:
        """The loaded libraries whose connections would go unnoticed."""
        return tuple(name for name in BESIDE_PYTHON if name in sys.modules)

    @property
    def connections(self) -> list[str]:
        """Which of the refused were connections."""
        return [target for target in self.refused if target.startswith(CONNECTION)]

    def judge(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Raise RefusedError for what is not allowed, and note it."""
        if self._is_allowed(event, arguments):
            return
        target = _target(event, arguments)
        with self._lock:
            self.refused.append(target)
        raise RefusedError(f"{target} is not allowed in a check")

    def _is_allowed(self, event: str, arguments: tuple[Any, ...]) -> bool:
        if self._allowed_port is None:
            return False
        address = arguments[1] if event == "socket.connect" else arguments[:2]
        return event in ("socket.connect", "socket.getaddrinfo") and address == (HOST, self._allowed_port)


def _target(event: str, arguments: tuple[Any, ...]) -> str:
    if event.startswith("os.fork"):
        return "a second process"
    if not event.startswith("socket."):
        return f"starting {arguments[0]}" if arguments else event
    told = [item for item in arguments if isinstance(item, str | tuple | bytes)]
    address = told[0] if told else ""
    if isinstance(address, tuple):
        address = ":".join(str(part) for part in address[:2])
    return f"{CONNECTION} {address if isinstance(address, str) else 'somewhere'}"
