"""An import that fails: the line of the provider's code that raised, and advice that holds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from llm_tester.config import Workspace
from llm_tester.errors import ProviderError, ProviderLoadError
from llm_tester.llms.provider_factory import create_provider
from tests.llms.packages import ACME, LISTED, external, forget, install, write

IN_FOLDER = {"providers/acme/config.json": {**LISTED, "name": "acme"}}


def failure(root: Path) -> ProviderLoadError:
    with pytest.raises(ProviderLoadError) as caught:
        create_provider("acme", Workspace.open(root, {}))
    return caught.value


@pytest.mark.parametrize(
    ("files", "line", "hint"),
    [
        pytest.param(
            {"helper.py": "", "provider.py": f"\nimport helper\n{ACME}"},
            "provider.py:2",
            "helper lies beside provider.py: write from .helper import ...",
            id="a file beside it",
        ),
        pytest.param(
            {"parts/terms.py": "", "provider.py": "from parts.terms import X"},
            "provider.py:1",
            "parts lies beside provider.py: write from .parts import ...",
            id="a folder beside it",
        ),
        pytest.param(
            {"helper.py": "\n\nimport absent_sdk", "provider.py": "from .helper import X"},
            "helper.py:3",
            "pip install absent_sdk",
            id="a package that a neighbour misses",
        ),
        pytest.param(
            {"provider.py": "from acme.terms import X"},
            "provider.py:1",
            "The package is not installed: pip install {root}/providers/acme",
            id="its own folder as a package",
        ),
        pytest.param(
            {"../../helper.py": "", "provider.py": "import helper"},
            "provider.py:1",
            "helper lies in {root}, where it is not looked for: move it beside provider.py, or make a package of it.",
            id="a file in the workspace",
        ),
        pytest.param({"provider.py": "import json.absent"}, "provider.py:1", "", id="a part of what is there"),
        pytest.param({"provider.py": "import msilib_not"}, "provider.py:1", "pip install msilib_not", id="a package"),
        pytest.param({"provider.py": "\n\nx = ("}, "provider.py:3", "", id="no Python"),
    ],
)
def test_an_import_of_a_folder_says_what_to_do(workspace: Path, files: dict[str, Any], line: str, hint: str) -> None:
    write(workspace, {**IN_FOLDER, **{f"providers/acme/{name}": content for name, content in files.items()}})
    error = failure(workspace)
    assert error.message.startswith(f"{workspace}/providers/acme/{line}: cannot be imported: ")
    assert error.hint == hint.format(root=workspace)


def test_the_initial_file_of_a_package_is_blamed_for_what_it_does(workspace: Path) -> None:
    write(workspace, {"blamed/__init__.py": "\n1 / 0", "blamed/llm.py": ACME})
    external(workspace, acme={"module": "blamed.llm"})
    assert failure(workspace).message.startswith(f"{workspace}/blamed/__init__.py:2: cannot be imported: ZeroDiv")
    forget("blamed")


def test_what_stands_beside_an_installed_module_is_not_its_own(workspace: Path, site: Path) -> None:
    (site / "foreign_part.py").write_text("\n\nraise ValueError('why')")
    install(site, "lone_files", {"acme": "lone_module:Acme"}, {})
    (site / "lone_module.py").write_text("\nimport foreign_part")
    error = failure(workspace)
    assert error.message == f"{site}/lone_module.py:2: cannot be imported: ValueError: why"
    forget("lone_module", "foreign_part")


CALLS = """
from llm_tester import BaseLLM
{first}

class Acme(BaseLLM):
    def _call_llm_api(self, prompt, system_prompt, model_name, model_config):
        {body}
"""


@pytest.mark.parametrize(
    ("first", "body", "message"),
    [
        ("", "return {}['x'], {}", "Acme (provider.py:7): KeyError: 'x'"),
        ("from .helper import read", "return read(), {}", "Acme (helper.py:2): ZeroDivisionError: division by zero"),
        ("import json", "return json.loads('{'), {}", "Acme (provider.py:7): JSONDecodeError: Expecting"),
    ],
)
def test_an_error_in_a_call_names_the_line(workspace: Path, first: str, body: str, message: str) -> None:
    code = {"providers/acme/provider.py": CALLS.format(first=first, body=body)}
    write(workspace, {**IN_FOLDER, **code, "providers/acme/helper.py": "def read():\n    return 1 / 0"})
    with pytest.raises(ProviderError) as caught:
        create_provider("acme", Workspace.open(workspace, {})).get_response("hi")
    assert caught.value.message.startswith(message)
    assert caught.value.hint == ""


def test_an_absent_key_is_the_likely_cause_where_no_variable_is_named(workspace: Path) -> None:
    body = "return 'Bearer ' + self.get_api_key(), {}"
    write(workspace, {**IN_FOLDER, "providers/acme/provider.py": CALLS.format(first="", body=body)})
    with pytest.raises(ProviderError, match=r"Acme \(provider.py:7\): TypeError") as caught:
        create_provider("acme", Workspace.open(workspace, {})).get_response("hi")
    assert 'name the variable that holds the key as "env_key" in config.json' in caught.value.hint
