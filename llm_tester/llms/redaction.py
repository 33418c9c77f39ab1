"""Keys are kept out of what people see: of errors that quote a server, of answers, of other libraries' logs."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from functools import lru_cache

SHORTEST = 8
"""Local servers are given words such as "none" for a key; to hide those would only spoil texts."""

HIDDEN = "[key]"


def redacted(text: str, secret: str | None) -> str:
    """`text` without `secret`, as it stands or with any of its signs escaped as in an address."""
    if not secret or len(secret) < SHORTEST:
        return text
    return _forms(secret).sub(HIDDEN, text)


@lru_cache(maxsize=256)
def _forms(secret: str) -> re.Pattern[str]:
    # Libraries differ in what they escape: "/" stays as it is with one and becomes %2F with the next.
    return re.compile("".join(sign if sign.isalnum() else f"(?:{re.escape(sign)}|{_escaped(sign)})" for sign in secret))


def _escaped(sign: str) -> str:
    return "".join(f"%(?i:{byte:02x})" for byte in sign.encode())


class AddressFilter(logging.Filter):
    """Takes keys out of records that quote an address, for providers that want their key there."""

    def __init__(self, redact: Callable[[str], str]) -> None:
        super().__init__()
        self._redact = redact

    def filter(self, record: logging.LogRecord) -> bool:
        """Let every record pass, redacted."""
        record.msg, record.args = self._redact(record.getMessage()), ()
        return True
