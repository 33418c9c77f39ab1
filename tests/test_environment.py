"""Variables: their older names, what counts as yes, and which of environment, .env and config.json wins."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from llm_tester.config import Workspace
from llm_tester.environment import VARIABLES, is_on, truth, value_of, with_aliases
from llm_tester.errors import ConfigurationError

DOCS = Path(__file__).resolve().parent.parent / "docs" / "configuration.md"


def test_older_names_stand_for_the_new_ones() -> None:
    named = with_aliases({"DEVSYNTH_PROVIDER": "openai", "DEVSYNTH_PROJECT": "old", "LLM_TESTER_PROJECT": "new"})
    assert (named["LLM_TESTER_PROVIDER"], named["LLM_TESTER_PROJECT"]) == ("openai", "new")


def test_an_empty_variable_is_not_set() -> None:
    assert with_aliases({"DEVSYNTH_PROVIDER": "x", "LLM_TESTER_PROVIDER": ""})["LLM_TESTER_PROVIDER"] == "x"
    assert value_of({"LLM_TESTER_PROVIDER": "", "DEVSYNTH_PROVIDER": " x "}, "LLM_TESTER_PROVIDER") == "x"
    assert value_of({}, "LLM_TESTER_PROVIDER") == ""
    assert value_of({"OPENAI_MODEL": "m"}, "OPENAI_MODEL") == "m"


@pytest.mark.parametrize(
    "variable", [variable.name for variable in VARIABLES if variable.name.startswith("LLM_TESTER")]
)
def test_every_variable_of_ours_has_its_older_name(variable: str, workspace: Path) -> None:
    older = variable.replace("LLM_TESTER_", "DEVSYNTH_")
    assert Workspace.open(workspace, {older: "x"}).environment[variable] == "x"


@pytest.mark.parametrize("name", ["LLM_TESTER_WORKSPACE", "DEVSYNTH_WORKSPACE"])
def test_the_workspace_is_named_by_either(name: str, workspace: Path, tmp_path: Path) -> None:
    assert Workspace.find(tmp_path, {name: str(workspace)}).root == workspace.resolve()


def test_the_environment_wins_over_dotenv_and_that_over_config_json(workspace: Path) -> None:
    (workspace / "config.json").write_text(json.dumps({"run": {"project": "file"}}))
    assert Workspace.open(workspace, {}).project == "file"
    (workspace / ".env").write_text("LLM_TESTER_PROJECT=dotenv\n")
    opened = Workspace.open(workspace, {})
    assert (opened.project, opened.from_dotenv) == ("dotenv", frozenset({"LLM_TESTER_PROJECT"}))
    for name in ("LLM_TESTER_PROJECT", "DEVSYNTH_PROJECT"):
        real = Workspace.open(workspace, {name: "real"})
        assert (real.project, real.from_dotenv) == ("real", frozenset())


@pytest.mark.parametrize(
    ("said", "means"),
    [("true", True), ("1", True), ("Yes", True), (" ON ", True), ("false", False), ("0", False), ("", None)],
)
def test_what_counts_as_yes(said: str, means: bool | None) -> None:
    assert truth({"LLM_TESTER_DISABLE_PROVIDERS": said}, "LLM_TESTER_DISABLE_PROVIDERS") is means
    assert is_on({"DEVSYNTH_DISABLE_PROVIDERS": said}, "LLM_TESTER_DISABLE_PROVIDERS") is bool(means)


def test_what_is_neither_yes_nor_no_is_an_error() -> None:
    with pytest.raises(ConfigurationError, match='LLM_TESTER_DISABLE_PROVIDERS is "maybe": expected true or false'):
        is_on({"LLM_TESTER_DISABLE_PROVIDERS": "maybe"}, "LLM_TESTER_DISABLE_PROVIDERS")


def test_the_documentation_lists_every_variable_with_its_default() -> None:
    listed = dict(re.findall(r"^\| `([A-Z_]+)` \|[^|]+\|([^|]*)\|", DOCS.read_text("utf-8"), re.MULTILINE))
    assert {v.name: f"`{v.default}`" if v.default else "" for v in VARIABLES}.items() <= {
        name: default.strip() for name, default in listed.items()
    }.items()
