from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter

from llm_tester.config import EntrantConfig, RunDefaults, Settings, Workspace
from llm_tester.errors import ConfigurationError


def write(root: Path, settings: Any) -> None:
    (root / "config.json").write_text(json.dumps(settings))


def test_everything_has_a_default(workspace: Path) -> None:
    opened = Workspace.open(workspace, {})
    assert opened.settings == Settings(run=RunDefaults(canary=False))
    assert (opened.settings.retry.max_retries, opened.settings.retry.max_delay) == (3, 60)
    assert opened.root == workspace.resolve()
    assert opened.ledger_path == workspace / ".llm_tester" / "ledger.sqlite3"
    assert opened.reports_path == workspace / "reports"


def test_a_workspace_as_people_write_one(workspace: Path) -> None:
    write(
        workspace,
        {
            "$schema": "config.schema.json",
            "providers": {"openai": {"enabled": False}},
            "run": {"tasks": ["t"], "entrants": ["mock:careful", {"model": "mock:flaky", "parameters": {"n": 1}}]},
            "retry": {"max_retries": 1, "jitter": False},
        },
    )
    settings = Workspace.open(workspace, {}).settings
    assert settings.providers["openai"].enabled is False
    assert settings.run.entrants == (
        EntrantConfig(model="mock:careful"),
        EntrantConfig(model="mock:flaky", parameters={"n": 1}),
    )


def test_the_schema_of_run_defaults_allows_a_plain_model() -> None:
    schema = TypeAdapter(RunDefaults).json_schema()
    assert {"type": "string"} in schema["properties"]["entrants"]["items"]["anyOf"]


def test_every_mistake_is_listed_at_once(workspace: Path) -> None:
    write(
        workspace,
        {
            "providers": {"openai": {"enabld": True, "llm_models": [{"name": "x", "cost_input": -1}]}, "groq": 3},
            "run": {"entrants": [{"modle": "x"}, 3], "max_connections": 0},
            "retry": {"max_retrys": 1, "exponential_base": 1e300},
            "budget": 1,
        },
    )
    with pytest.raises(ConfigurationError) as caught:
        Workspace.open(workspace, {})
    lines = caught.value.message.splitlines()
    assert lines[0] == f"{workspace / 'config.json'}: "
    assert sorted(line.strip() for line in lines[1:]) == [
        'budget: unknown key "budget". Did you mean budgets?',
        "providers.groq: expected a JSON object (found 3)",
        'providers.openai.enabld: unknown key "enabld". Did you mean enabled?',
        "providers.openai.llm_models[0].cost_input: Input should be greater than or equal to 0 (found -1)",
        "retry.exponential_base: Input should be less than or equal to 1000 (found 1e+300)",
        'retry.max_retrys: unknown key "max_retrys". Did you mean max_retries or max_delay?',
        "run.entrants[0].model: this key is required",
        'run.entrants[0].modle: unknown key "modle". Did you mean model?',
        "run.entrants[1]: expected a JSON object (found 3)",
        "run.max_connections: Input should be greater than 0 (found 0)",
    ]
    assert caught.value.file == str(workspace / "config.json")


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        pytest.param(b'{"run": {},\n "run": {}}', 'config.json:2: the key "run" stands twice', id="a key twice"),
        pytest.param('{"run": {}}'.encode("utf-16"), "config.json: not UTF-8 text", id="UTF-16"),
        pytest.param(b'{"run": {}', "config.json:1: not valid JSON", id="broken"),
        pytest.param(b'{"run":' * 10_000, "config.json:1: nested too deeply", id="10k nesting"),
        pytest.param(b"[]", "config.json: expected a JSON object", id="a list"),
        pytest.param(b'{"providers": ["openai"]}', "providers: expected an object with a provider's name", id="names"),
    ],
)
def test_files_that_cannot_be_used(workspace: Path, content: bytes, expected: str) -> None:
    (workspace / "config.json").write_bytes(content)
    with pytest.raises(ConfigurationError) as caught:
        Workspace.find(workspace, {})
    assert expected in caught.value.message
    assert "\n" not in caught.value.message


def test_a_byte_order_mark_is_fine(workspace: Path) -> None:
    (workspace / "config.json").write_bytes(b'\xef\xbb\xbf{"run": {"seed": 7}}')
    assert Workspace.open(workspace, {}).settings.run.seed == 7


def test_a_folder_without_config_is_no_workspace(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="is not a workspace") as caught:
        Workspace.open(tmp_path, {})
    assert caught.value.hint == f"`llm-tester init {tmp_path}` makes one."


def test_the_nearest_workspace_above_is_found(workspace: Path) -> None:
    deep = workspace / "tasks" / "a" / "b"
    deep.mkdir(parents=True)
    assert Workspace.find(deep, {}).root == workspace.resolve()


def test_a_relative_start_is_looked_up_from_the_current_folder(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (workspace / "tasks" / "a").mkdir()
    monkeypatch.chdir(workspace / "tasks")
    assert Workspace.find(Path("a"), {}).root == workspace.resolve()


@pytest.mark.parametrize(
    ("content", "ours"),
    [
        ("{}", True),
        (" {\n} ", True),
        ('{"providers": {}}', True),
        ('{"run": {}}', True),
        ('{"compilerOptions": {}}', False),
        ("[1]", False),
    ],
)
def test_a_config_json_alone_could_be_anybodys(tmp_path: Path, content: str, ours: bool) -> None:
    root, inner = tmp_path / "outer", tmp_path / "outer" / "inner"
    inner.mkdir(parents=True)
    write(root, {})
    (inner / "config.json").write_text(content)
    assert Workspace.find(inner, {}).root == (inner if ours else root).resolve()


@pytest.mark.parametrize("folder", ["tasks", "providers", ".llm_tester"])
def test_one_of_our_folders_makes_a_config_ours(tmp_path: Path, folder: str) -> None:
    (tmp_path / "config.json").write_text('{"retry": {}}')
    (tmp_path / folder).mkdir()
    assert Workspace.find(tmp_path, {}).root == tmp_path.resolve()


def test_a_named_workspace_wins_over_the_environment_and_that_over_the_current_folder(
    workspace: Path, tmp_path: Path
) -> None:
    by_name, by_variable = tmp_path / "named", tmp_path / "variable"
    for folder in (by_name, by_variable):
        folder.mkdir()
        write(folder, {})
    environment = {"LLM_TESTER_WORKSPACE": str(by_variable)}
    assert Workspace.find(workspace, environment, str(by_name)).root == by_name.resolve()
    assert Workspace.find(workspace, environment).root == by_variable.resolve()
    with pytest.raises(ConfigurationError, match="is not a workspace"):
        Workspace.find(workspace, {"LLM_TESTER_WORKSPACE": str(tmp_path / "none")})


def test_outside_a_workspace_there_is_none() -> None:
    nowhere = Workspace.find(Path("/"), {"A": "b"})
    assert (nowhere.root, nowhere.environment, nowhere.project) == (None, {"A": "b"}, "default")
    with pytest.raises(ConfigurationError, match="not a workspace") as caught:
        _ = nowhere.ledger_path
    assert "llm-tester init" in caught.value.hint
    assert "llm-tester demo" in caught.value.hint


def test_the_project_is_named_by_environment_then_config_then_folder(workspace: Path) -> None:
    assert Workspace.open(workspace, {}).project == "workspace"
    write(workspace, {"run": {"project": "from config"}})
    assert Workspace.open(workspace, {}).project == "from config"
    assert Workspace.open(workspace, {"LLM_TESTER_PROJECT": "from environment"}).project == "from environment"
    assert Workspace(Path("/")).project == "default"


def test_a_file_in_place_of_the_reports_folder(workspace: Path) -> None:
    (workspace / "reports").write_text("")
    with pytest.raises(ConfigurationError, match="reports is a file"):
        _ = Workspace.open(workspace, {}).reports_path
    (workspace / "reports").unlink()
    (workspace / "reports").mkdir()
    assert Workspace.open(workspace, {}).reports_path.is_dir()


def test_the_environment_wins_over_dotenv(workspace: Path) -> None:
    (workspace / ".env").write_bytes(b'\xef\xbb\xbfA_KEY=from file\nB_KEY="quoted # text"\nEMPTY\n')
    environment = Workspace.open(workspace, {"A_KEY": "real"}).environment
    assert environment == {"A_KEY": "real", "B_KEY": "quoted # text"}
    assert Workspace.open(workspace, {}).environment["A_KEY"] == "from file"


def test_a_dotenv_that_is_no_text(workspace: Path) -> None:
    (workspace / ".env").write_text("A=b", encoding="utf-16")
    with pytest.raises(ConfigurationError, match=r"\.env: not UTF-8"):
        Workspace.open(workspace, {})


def test_the_process_environment_is_used_where_none_is_given(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_NAME", "some value")
    assert Workspace.open(workspace).environment["SOME_NAME"] == "some value"
