"""What a provider's class declares of itself, as its author wrote it and as it is used."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any

from llm_tester.errors import ConfigurationError

KEY_FIX = 'self.get_api_key() is None: name the variable that holds the key as "env_key" in config.json.'
APPLIES_FIX = 'Write applies = frozenset({"temperature"}), or frozenset({"*"}) for all.'


def names_in(said: Any) -> frozenset[str] | None:
    """The names in any collection of texts; None for what is none, a single text among it."""
    if isinstance(said, str | bytes) or not isinstance(said, Iterable):
        return None
    names = tuple(said)
    return frozenset(names) if all(isinstance(name, str) for name in names) else None


def check_applies(chosen: type[Any]) -> None:
    """Raises ConfigurationError that names the file where `applies` of a class is no collection of names."""
    if names_in(chosen.applies) is None:
        where = place_of(chosen)
        message = f"{where}{chosen.__name__}.applies is {chosen.applies!r}, not a set of names"
        raise ConfigurationError(message, hint=APPLIES_FIX, file=where.removesuffix(": "), path="applies")


def place_of(chosen: type[Any]) -> str:
    """The file of a class and a colon; empty where it has none."""
    try:
        return f"{inspect.getfile(chosen)}: "
    except (OSError, TypeError):
        return ""


def asks_for_key(chosen: type[Any]) -> bool:
    """Whether code of a class, and not of those of this package above it, calls `get_api_key`."""
    own = [kind for kind in chosen.__mro__ if not kind.__module__.startswith("llm_tester.")]
    methods = [inspect.unwrap(value) for kind in own for value in vars(kind).values() if inspect.isfunction(value)]
    return any("get_api_key" in method.__code__.co_names for method in methods if inspect.isfunction(method))


def misspelt(chosen: type[Any]) -> str:
    """A did-you-mean where a method of a class is nearly called as one that it has to define."""
    for wanted in sorted(getattr(chosen, "__abstractmethods__", ())):
        near = get_close_matches(wanted, [name for name in vars(chosen) if inspect.isfunction(vars(chosen)[name])], n=1)
        if near:
            return f"Did you mean {wanted} by {near[0]}?"
    return ""
