"""`applies` as people write it: any collection of names is one, and what is none is refused when it is loaded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from llm_tester import BaseLLM, ProviderConfig
from llm_tester.config import Workspace
from llm_tester.errors import ConfigurationError
from llm_tester.llms.provider_factory import create_provider
from llm_tester.records import Request, chat
from tests.llms.packages import ACME, external, write

ASKED = {"temperature": 0.5, "max_tokens": 5}


def request() -> Request:
    return Request("acme", "m", chat("hi"), parameters=ASKED)


def made(root: Path, said: str) -> BaseLLM:
    write(root, {"acme.py": f"{ACME}    applies = {said}\n"})
    external(root, acme={"path": "acme.py"})
    return create_provider("acme", Workspace.open(root, {}))


@pytest.mark.parametrize(
    ("said", "lost"),
    [
        ('["max_tokens"]', ("temperature",)),
        ('("max_tokens",)', ("temperature",)),
        ('{"max_tokens": "length"}', ("temperature",)),
        ('(name for name in ["max_tokens", "temperature"])', ()),
        ('["*"]', ()),
        ("[]", ("max_tokens", "temperature")),
    ],
)
def test_any_collection_of_names_will_do(workspace: Path, said: str, lost: tuple[str, ...]) -> None:
    provider = made(workspace, said)
    assert provider.not_applied(request()) == lost
    assert provider.respond(request()).not_applied == lost
    assert provider.respond(request()).not_applied == lost


@pytest.mark.parametrize("said", ['"max_tokens"', 'b"max_tokens"', "5", "None", "[1]", "True"])
def test_what_is_no_collection_of_names_is_refused(workspace: Path, said: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        made(workspace, said)
    shown = said.replace('"', "'")
    assert caught.value.message == f"{workspace / 'acme.py'}: Acme.applies is {shown}, not a set of names"
    assert "frozenset" in caught.value.hint


def test_a_class_without_a_file_is_named_too() -> None:
    def call(self: Any, *arguments: Any) -> tuple[str, dict[str, int]]:
        return "", {}

    odd = type("Odd", (BaseLLM,), {"_call_llm_api": call, "applies": 5, "__module__": "builtins"})
    with pytest.raises(ConfigurationError, match=r"^Odd.applies is 5, not a set of names$"):
        odd(ProviderConfig(name="odd", open_catalogue=True))
