from __future__ import annotations

import json
import os
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from llm_tester import BaseLLM
from llm_tester.config import Workspace
from llm_tester.errors import (
    ConfigurationError,
    LLMTesterError,
    ProviderLoadError,
    UnknownModelError,
    UnknownProviderError,
)
from llm_tester.llms.provider_factory import (
    DiscoveredProvider,
    builtin_folder,
    create_provider,
    discover,
    discover_provider_classes,
    find,
    load_provider_config,
    provider_class,
)

Add = Callable[..., Path]
BUILT_IN = {"mock", "null", "stub"}
ECHO = """
    from llm_tester import BaseLLM, Document

    class Echo(BaseLLM):
        def _call_llm_api(self, prompt, system_prompt, model_name, model_config):
            return prompt, {"input": 1, "output": 1}
"""
OPTIONS = """
    from llm_tester import BaseLLM, Document

    class Options(Document):
        loud: bool = False

    class Echo(BaseLLM):
        options_type = Options
        model_options_type = Options

        def _call_llm_api(self, prompt, system_prompt, model_name, model_config):
            return prompt, {}
"""


def settings(root: Path, **providers: Any) -> None:
    (root / "config.json").write_text(json.dumps({"providers": providers}))


def opened(root: Path) -> Workspace:
    return Workspace.open(root, {"P_KEY": "secret"})


def found(root: Path) -> dict[str, DiscoveredProvider]:
    return discover(opened(root))


def problem(root: Path, name: str) -> LLMTesterError:
    error = found(root)[name].problem
    assert error is not None
    return error


def test_what_is_built_in_is_found_everywhere() -> None:
    nowhere = discover(Workspace(None))
    assert set(nowhere) >= BUILT_IN
    assert {nowhere[name].source for name in BUILT_IN} == {"built in"}
    assert [name for name in BUILT_IN if nowhere[name].problem] == []
    assert nowhere["mock"].folder == builtin_folder("providers") / "mock"
    assert builtin_folder("cli").parent.name == "llm_tester"


def test_a_folder_with_a_class_is_a_provider(workspace: Path, add_provider: Add) -> None:
    folder = add_provider("echo", ECHO)
    provider = found(workspace)["echo"]
    assert (provider.folder, provider.source, provider.enabled, provider.shadows) == (folder, "workspace", True, ())
    made = create_provider("echo", opened(workspace))
    assert made.get_response("hi")[0] == "hi"
    assert made.environment["P_KEY"] == "secret"


def test_a_workspace_without_providers_has_what_is_built_in(workspace: Path) -> None:
    (workspace / "providers").rmdir()
    assert set(found(workspace)) == set(discover(Workspace(None)))


def test_the_workspace_comes_first_and_the_loser_is_reported(workspace: Path, add_provider: Add) -> None:
    folder = add_provider("stub", ECHO)
    provider = found(workspace)["stub"]
    assert (provider.folder, provider.source) == (folder, "workspace")
    assert provider.shadows == (builtin_folder("providers") / "stub",)
    assert type(create_provider("stub", opened(workspace))).__name__ == "Echo"


def test_discovery_imports_no_code(workspace: Path, add_provider: Add) -> None:
    canary = workspace / "canary"
    add_provider("eager", f"open({str(canary)!r}, 'w').close()\n")
    assert found(workspace)["eager"].problem is None
    assert not canary.exists()


def test_a_folder_that_is_reached_twice_is_one_provider(workspace: Path, tmp_path: Path, add_provider: Add) -> None:
    (workspace / "providers" / "stub").symlink_to(builtin_folder("providers") / "stub")
    provider = found(workspace)["stub"]
    assert (provider.source, provider.shadows) == ("workspace", ())


def test_a_link_of_another_name_hides_nothing(workspace: Path) -> None:
    (workspace / "providers" / "alias").symlink_to(builtin_folder("providers") / "stub")
    assert 'name: "stub" is not the folder\'s name "alias"' in problem(workspace, "alias").message
    assert found(workspace)["stub"].problem is None


def test_a_folder_may_be_a_link_under_its_own_name(workspace: Path, tmp_path: Path, add_provider: Add) -> None:
    elsewhere = add_provider("echo", ECHO, parent=tmp_path / "elsewhere").rename(tmp_path / "checkout")
    (workspace / "providers" / "echo").symlink_to(elsewhere)
    assert create_provider("echo", opened(workspace)).name == "echo"


def test_what_is_no_provider_folder_is_passed_over(workspace: Path) -> None:
    (workspace / "providers" / "notes.txt").write_text("")
    (workspace / "providers" / "__pycache__").mkdir()
    assert set(found(workspace)) == set(discover(Workspace(None)))


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        pytest.param(b'{"name": "bad", "name": "bad"}', 'config.json:1: the key "name" stands twice', id="a key twice"),
        pytest.param(b'{"name": "bad",}', "config.json:1: not valid JSON", id="no JSON"),
        pytest.param('{"name": "bad"}'.encode("utf-16"), "config.json: not UTF-8 text", id="UTF-16"),
        pytest.param(b"[" * 10_000, "config.json:1: nested too deeply", id="10k nesting"),
        pytest.param(b'{"name": "other", "api": "replay"}', 'name: "other" is not the folder\'s name "bad"', id="name"),
        pytest.param(
            b'{"name": "bad"}', 'neither "api" names a built-in class nor is there a provider.py', id="no api"
        ),
        pytest.param(b'{"name": "bad", "api": "replya"}', 'api: there is no built-in "replya"', id="unknown api"),
        pytest.param(b'{"name": "bad", "apy": 1}', 'apy: unknown key "apy". Did you mean api', id="unknown key"),
        pytest.param(
            b'{"name": "bad", "api": "replay", "llm_models": [{"name": "m", "answers": "../up.jsonl"}]}',
            'the answers of "m" lie outside the provider\'s folder: ../up.jsonl',
            id="answers above the folder",
        ),
        pytest.param(
            b'{"name": "bad", "api": "replay", "llm_models": [{"name": "m", "answers": "/etc/passwd"}]}',
            "outside the provider's folder: /etc/passwd",
            id="answers anywhere",
        ),
        pytest.param(
            b'{"name": "bad", "api": "replay", "llm_models": [{"name": "m", "answers": "link.jsonl"}]}',
            "outside the provider's folder: link.jsonl",
            id="answers behind a link",
        ),
    ],
)
def test_a_broken_folder_is_listed_and_stops_nobody(
    workspace: Path, add_provider: Add, config: bytes, expected: str
) -> None:
    add_provider("echo", ECHO)
    folder = workspace / "providers" / "bad"
    folder.mkdir()
    (folder / "config.json").write_bytes(config)
    (folder / "link.jsonl").symlink_to(workspace / "config.json")
    listed = found(workspace)
    assert listed["bad"].config is None
    error = problem(workspace, "bad")
    assert isinstance(error, ConfigurationError)
    assert expected in error.message
    assert error.file == str(folder / "config.json")
    assert "\n" not in error.message
    with pytest.raises(ConfigurationError):
        create_provider("bad", opened(workspace))
    assert set(discover_provider_classes(opened(workspace))) >= BUILT_IN | {"echo"}
    assert "bad" not in discover_provider_classes(opened(workspace))


def test_a_class_without_config_json_is_listed_as_broken(workspace: Path) -> None:
    folder = workspace / "providers" / "bare"
    folder.mkdir()
    (folder / "provider.py").write_text("")
    assert problem(workspace, "bare").message == f"{folder / 'config.json'}: there is no such file"


def test_answers_inside_the_folder_become_absolute(workspace: Path, add_provider: Add) -> None:
    folder = add_provider("recorded", api="replay", llm_models=[{"name": "m", "answers": "sub/../a.jsonl"}])
    assert load_provider_config(folder).llm_models[0].answers == str(folder.resolve() / "a.jsonl")


def test_the_workspace_may_name_answers_anywhere(workspace: Path, tmp_path: Path, add_provider: Add) -> None:
    add_provider("recorded", api="replay", llm_models=[])
    models = [{"name": "here", "answers": "a.jsonl"}, {"name": "there", "answers": str(tmp_path / "b.jsonl")}]
    settings(workspace, recorded={"llm_models": [*models, {"name": "up", "answers": "../c.jsonl"}]})
    config = found(workspace)["recorded"].config
    assert config is not None
    assert [entry.answers for entry in config.llm_models] == [
        str(workspace.resolve() / "a.jsonl"),
        str(tmp_path / "b.jsonl"),
        str(tmp_path.resolve() / "c.jsonl"),
    ]


def test_the_workspace_overrides_what_a_folder_says(workspace: Path, add_provider: Add) -> None:
    add_provider("echo", ECHO, llm_models=[{"name": "m", "cost_input": 1, "cost_output": 1}])
    settings(
        workspace,
        echo={"llm_models": [{"name": "m", "cost_input": 9}, {"name": "new"}], "default_model": "new", "timeout": 3},
    )
    made = create_provider("echo", opened(workspace))
    assert made.list_models() == ["m", "new"]
    assert (made.model_entry("m").cost_input, made.model_entry("m").cost_output) == (Decimal(9), Decimal(1))
    assert (made.get_default_model(), made.config.timeout) == ("new", 3)


def test_a_default_model_that_does_not_exist_breaks_the_provider(workspace: Path) -> None:
    settings(workspace, mock={"default_model": "carefull"})
    error = problem(workspace, "mock")
    assert isinstance(error, UnknownModelError)
    assert error.hint == "Did you mean careful?"


def test_a_disabled_provider_is_listed_and_not_made(workspace: Path) -> None:
    settings(workspace, stub={"enabled": False})
    assert found(workspace)["stub"].enabled is False
    assert found(workspace)["stub"].config is not None
    with pytest.raises(ConfigurationError, match='the provider "stub" is disabled') as caught:
        create_provider("stub", opened(workspace))
    assert caught.value.hint == "Set providers.stub.enabled to true."
    assert "stub" not in discover_provider_classes(opened(workspace))


def test_settings_for_a_provider_that_is_not_there_are_a_mistake(workspace: Path) -> None:
    settings(workspace, mcok={"enabled": True})
    error = problem(workspace, "mcok")
    assert error.message == 'config.json: providers.mcok: there is no provider "mcok"'
    assert error.hint == "Did you mean mock?"
    with pytest.raises(UnknownProviderError):
        create_provider("mcok", opened(workspace))


def test_an_unknown_provider_is_an_error_with_near_names(workspace: Path) -> None:
    with pytest.raises(UnknownProviderError, match='there is no provider "mokc"') as caught:
        create_provider("mokc", opened(workspace))
    assert caught.value.hint == "Did you mean mock?"
    with pytest.raises(UnknownProviderError) as caught:
        find("x", {})
    assert caught.value.hint == ""


@pytest.mark.parametrize(
    ("code", "expected", "hint"),
    [
        pytest.param("raise ValueError('nope')", "cannot be imported: ValueError: nope", "", id="raises"),
        pytest.param("import sys; sys.exit(0)", "calls sys.exit when it is imported", "Take the call out.", id="exits"),
        pytest.param(
            "import absent_sdk", "No module named 'absent_sdk'", "pip install absent_sdk", id="missing package"
        ),
        pytest.param("X = 1", "defines no BaseLLM", "Define exactly one subclass of BaseLLM in it.", id="no class"),
    ],
)
def test_code_that_cannot_be_used_stops_nobody(
    workspace: Path, add_provider: Add, code: str, expected: str, hint: str
) -> None:
    add_provider("bad", code)
    add_provider("echo", ECHO)
    with pytest.raises(ProviderLoadError) as caught:
        create_provider("bad", opened(workspace))
    assert expected in caught.value.message
    assert caught.value.hint == hint
    classes = discover_provider_classes(opened(workspace))
    assert set(classes) >= BUILT_IN | {"echo"}
    assert all(issubclass(kind, BaseLLM) for kind in classes.values())


def test_code_behind_a_link_out_of_the_folder_is_not_imported(
    workspace: Path, tmp_path: Path, add_provider: Add
) -> None:
    canary = tmp_path / "canary"
    outside = tmp_path / "outside.py"
    outside.write_text(f"open({str(canary)!r}, 'w').close()")
    folder = add_provider("sly", "pass")
    (folder / "provider.py").unlink()
    (folder / "provider.py").symlink_to(outside)
    with pytest.raises(ProviderLoadError, match="is a link to outside the provider's folder"):
        create_provider("sly", opened(workspace))
    assert not canary.exists()


@pytest.mark.parametrize(
    ("init", "expected"),
    [
        ("def __init__(self, config=None): raise RuntimeError('no')", "Made cannot be made: RuntimeError: no"),
        ("def __init__(self, config=None): raise SystemExit(1)", "Made cannot be made: SystemExit: 1"),
        ("def __init__(self): pass", "Made cannot be made: TypeError"),
        ("def __init__(self, config=None): pass", "Made.__init__ does not hand its config on"),
        ("def __init__(self, config=None): super().__init__()", "Made.__init__ does not hand its config on"),
    ],
)
def test_classes_that_cannot_be_made(workspace: Path, add_provider: Add, init: str, expected: str) -> None:
    code = f"{ECHO}\n        {init}\n".replace("Echo", "Made")
    add_provider("made", code)
    with pytest.raises(ProviderLoadError) as caught:
        create_provider("made", opened(workspace))
    assert expected in caught.value.message
    assert str(workspace / "providers" / "made") in caught.value.message


def test_an_error_of_ours_in_a_constructor_is_kept(workspace: Path, add_provider: Add) -> None:
    init = "def __init__(self, config=None): raise ConfigurationError('mine', hint='so')"
    add_provider("made", f"{ECHO}\n        {init}\n".replace("Document", "ConfigurationError"))
    with pytest.raises(ConfigurationError, match=r"^mine$"):
        create_provider("made", opened(workspace))


def test_options_are_checked_by_the_class(workspace: Path, add_provider: Add) -> None:
    folder = add_provider(
        "echo", OPTIONS, options={"loud": True}, llm_models=[{"name": "m", "options": {"loud": True}}]
    )
    assert create_provider("echo", opened(workspace)).config.options == {"loud": True}
    file = folder / "config.json"
    for override, expected in (
        ({"options": {"lout": 1}}, f'{file}: options.lout: unknown key "lout". Did you mean loud?'),
        (
            {"llm_models": [{"name": "m", "options": {"lout": 1}}]},
            f'{file}: llm_models[m].options.lout: unknown key "lout"',
        ),
    ):
        settings(workspace, echo=override)
        with pytest.raises(ConfigurationError) as caught:
            create_provider("echo", opened(workspace))
        assert caught.value.message.startswith(expected)


@pytest.mark.parametrize("where", ["options", "llm_models[m].options"])
def test_a_class_without_options_takes_none(workspace: Path, add_provider: Add, where: str) -> None:
    options: dict[str, Any] = {"options": {"loud": 1}} if where == "options" else {}
    models = [{"name": "m", "options": {} if options else {"loud": 1}}]
    add_provider("echo", ECHO, llm_models=models, **options)
    with pytest.raises(ConfigurationError) as caught:
        create_provider("echo", opened(workspace))
    assert caught.value.message.endswith(f"config.json: {where}: Echo takes none")
    assert caught.value.path == where


def test_the_current_folder_says_which_workspace(
    workspace: Path, add_provider: Add, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_provider("echo", ECHO)
    monkeypatch.chdir(workspace / "tasks")
    assert create_provider("echo").name == "echo"
    assert "echo" in discover_provider_classes()
    monkeypatch.chdir(os.sep)
    with pytest.raises(UnknownProviderError):
        create_provider("echo")


def test_a_problem_without_words_is_still_a_problem(tmp_path: Path) -> None:
    with pytest.raises(ProviderLoadError, match="cannot be used"):
        provider_class(DiscoveredProvider("odd", tmp_path, "workspace"))
