from __future__ import annotations

import inspect
import json
import subprocess
import sys

import pytest

import llm_tester

HEAVY = (
    "pydantic",
    "aiohttp",
    "requests",
    "rich",
    "typer",
    "openai",
    "anthropic",
    "jinja2",
    "jsonschema",
    "dotenv",
)


def fresh(code: str) -> list[str]:
    """What `code` leaves in sys.modules of a new process."""
    script = f"{code}\nimport json, sys\nprint(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-W", "error", "-c", script], capture_output=True, text=True, check=True)
    names: list[str] = json.loads(done.stdout.splitlines()[-1])
    return names


def test_every_public_name_resolves() -> None:
    for name in llm_tester.__all__:
        value = getattr(llm_tester, name)
        assert value.__name__ == name if name != "__version__" else isinstance(value, str)


def test_nothing_else_is_public() -> None:
    assert dir(llm_tester) == sorted(llm_tester.__all__)
    assert sorted(llm_tester._HOME) == sorted(set(llm_tester.__all__) - {"__version__"})
    assert len(set(llm_tester.__all__)) == len(llm_tester.__all__)


def test_a_name_that_is_not_public_is_an_ordinary_error() -> None:
    with pytest.raises(AttributeError, match="module 'llm_tester' has no attribute 'nonsense'"):
        _ = llm_tester.nonsense


def test_every_public_class_and_function_says_what_it_is_for() -> None:
    values = [getattr(llm_tester, name) for name in llm_tester.__all__ if name != "__version__"]
    assert [value.__name__ for value in values if not inspect.getdoc(value)] == []


def test_importing_the_package_loads_nothing_heavy() -> None:
    loaded = fresh("import llm_tester")
    assert [name for name in HEAVY if name in loaded] == []
    assert [name for name in loaded if name.startswith("llm_tester.")] == ["llm_tester.version"]


def test_a_name_loads_only_what_it_needs() -> None:
    loaded = fresh("from llm_tester import ProviderError, UsageData")
    assert [name for name in HEAVY if name in loaded] == []


def test_calling_a_provider_loads_no_client_library() -> None:
    loaded = fresh("import llm_tester\nllm_tester.create_provider('stub').get_response('hi')")
    assert [name for name in ("aiohttp", "requests", "rich", "typer", "openai", "anthropic") if name in loaded] == []


def test_a_star_import_brings_all_names() -> None:
    code = "from llm_tester import *\nimport llm_tester\nassert set(llm_tester.__all__) <= set(globals())"
    assert "llm_tester.llms.base" in fresh(code)


def test_the_version_is_one_string() -> None:
    assert llm_tester.__version__.count(".") == 2
