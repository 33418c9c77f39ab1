"""Where providers come from: the workspace, external_providers.json, installed packages, what is built in."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from llm_tester.config import Workspace
from llm_tester.errors import ConfigurationError, ProviderLoadError, UnknownProviderError
from llm_tester.llms.llm_registry import ProviderRegistry
from llm_tester.llms.provider_factory import (
    builtin_folder,
    create_provider,
    discover,
    discover_provider_classes,
    instantiate,
)
from llm_tester.llms.provider_manager import ProviderManager
from tests.llms.packages import ACME, CATALOGUE, CLASS, answer, external, found, install, problem, write

pytestmark = pytest.mark.usefixtures("modules")


# --- the order


def test_the_first_source_wins_and_the_losers_are_reported(
    workspace: Path, tmp_path: Path, site: Path, add_provider: Callable[..., Path]
) -> None:
    own = add_provider("stub", CLASS.format(name="Own"))
    outside = write(tmp_path / "outside", {"config.json": {"name": "x", **CATALOGUE}, "provider.py": ACME})
    package = install(site, "acme_llm", {"stub": "acme_llm"}, {"config.json": {"name": "stub", "api": "openai"}})
    external(workspace, stub={"path": str(outside)})
    built_in = builtin_folder("providers") / "stub"
    sources = [
        ("workspace", own, (outside, package, built_in)),
        ("external_providers.json", outside, (package, built_in)),
        ("installed: acme-llm 1.2", package, (built_in,)),
        ("built in", built_in, ()),
    ]
    undo: list[Callable[[], Any]] = [
        lambda: own.rename(tmp_path / "away"),
        (workspace / "external_providers.json").unlink,
    ]
    undo.append((site / "acme_llm-1.2.dist-info" / "entry_points.txt").unlink)
    for source, folder, shadows in sources:
        provider = found(workspace)["stub"]
        assert (provider.source, provider.folder, provider.shadows) == (source, folder, shadows)
        if undo:
            undo.pop(0)()


def test_a_folder_that_two_sources_name_is_one_provider(workspace: Path, add_provider: Callable[..., Path]) -> None:
    add_provider("acme", ACME)
    external(workspace, acme={"path": "providers/acme"}, other={"path": "providers/acme"})
    assert found(workspace)["acme"].shadows == ()
    assert answer(workspace, "other") == "Acme: hi"
    assert create_provider("other", Workspace.open(workspace)).name == "other"


def test_nothing_is_imported_until_it_is_used(workspace: Path, tmp_path: Path, site: Path) -> None:
    canary = tmp_path / "canary"
    code = f"open({str(canary)!r}, 'a').close()\n{ACME}"
    install(site, "acme_llm", {"entry": "acme_llm.llm:Acme"}, {"__init__.py": code, "llm.py": code})
    write(workspace, {"mine.py": code, "folder/provider.py": code, "folder/config.json": {"name": "folder"}})
    external(workspace, module={"module": "mine"}, file={"path": "mine.py"}, folder={"path": "folder"})
    listed = found(workspace)
    assert [listed[name].problem for name in ("entry", "module", "file", "folder")] == [None] * 4
    assert not canary.exists()
    assert set(discover_provider_classes(Workspace.open(workspace))) >= {"entry", "module", "file", "folder"}
    assert canary.exists()


# --- external_providers.json


@pytest.mark.parametrize(
    ("entry", "files", "expected"),
    [
        pytest.param({"module": "lone"}, {"lone.py": ACME}, "Acme: hi", id="a lone module of the workspace"),
        pytest.param({"module": "pack"}, {"pack/__init__.py": ACME}, "Acme: hi", id="a package"),
        pytest.param(
            {"module": "pack.llm", "class": "B"},
            {"pack/llm.py": ACME + CLASS.format(name="B")},
            "B: hi",
            id="one of two classes",
        ),
        pytest.param(
            {"module": "pack", "class": "Acme"},
            {"pack/__init__.py": "from .inner import Acme", "pack/inner.py": ACME},
            "Acme: hi",
            id="a class from elsewhere, by its name",
        ),
        pytest.param(
            {"module": "pack.inner"},
            {
                "pack/inner/__init__.py": "",
                "pack/inner/provider.py": ACME,
                "pack/inner/config.json": {"name": "x", **CATALOGUE},
            },
            "Acme: hi",
            id="a package that is a provider folder",
        ),
        pytest.param({"path": "folder"}, {"folder/provider.py": ACME}, "Acme: hi", id="a folder without config.json"),
        pytest.param({"path": "../up.py"}, {"../up.py": ACME}, "Acme: hi", id="a file outside of the workspace"),
        pytest.param(
            {"path": "two.py", "class": "B"}, {"two.py": ACME + CLASS.format(name="B")}, "B: hi", id="a class of a file"
        ),
    ],
)
def test_an_external_provider(workspace: Path, entry: Any, files: dict[str, Any], expected: str) -> None:
    write(workspace, files)
    external(workspace, acme=entry)
    assert answer(workspace, "acme") == expected


def test_a_link_that_the_user_names_may_lead_anywhere(workspace: Path, tmp_path: Path) -> None:
    write(tmp_path, {"elsewhere.py": ACME})
    (workspace / "link.py").symlink_to(tmp_path / "elsewhere.py")
    external(workspace, acme={"path": "link.py"})
    assert answer(workspace, "acme") == "Acme: hi"


def test_the_name_in_the_file_is_the_providers(workspace: Path) -> None:
    write(workspace, {"away/config.json": {"name": "theirs", **CATALOGUE}, "away/provider.py": ACME})
    external(workspace, mine={"path": "away"})
    response = ProviderManager(registry=ProviderRegistry(Workspace.open(workspace))).get_response("mine", "hi")
    assert response[0] == "Acme: hi"
    assert "theirs" not in found(workspace)


@pytest.mark.parametrize("said", ["conf/config.json", "conf", "../far.json"])
def test_a_config_path_may_lead_anywhere_and_the_paths_in_it_may_not(workspace: Path, said: str) -> None:
    config = {"name": "x", **CATALOGUE}
    write(workspace, {"lone.py": ACME, "conf/config.json": config, "../far.json": config})
    external(workspace, acme={"path": "lone.py", "config_path": said})
    assert create_provider("acme", Workspace.open(workspace)).list_models() == ["m"]
    write(workspace, {"conf/config.json": {**config, "llm_models": [{"name": "m", "answers": "../out.jsonl"}]}})
    if said.startswith("conf"):
        assert "outside the provider's folder: ../out.jsonl" in problem(workspace, "acme").message


def test_without_config_json_the_catalogue_is_open_and_unpriced(workspace: Path) -> None:
    write(workspace, {"lone.py": ACME, "config.json": "{}"})
    external(workspace, acme={"module": "lone"})
    provider = create_provider("acme", Workspace.open(workspace))
    assert (provider.config.open_catalogue, provider.list_models()) == (True, [])
    response = provider.respond(provider.request("hi", "any"))
    assert (response.text, response.cost.usd) == ("Acme: hi", None)
    write(workspace, {"config.json": {"providers": {"acme": CATALOGUE}}})
    assert create_provider("acme", Workspace.open(workspace)).get_default_model() == "m"


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        pytest.param("[1]", "expected an object with providers' names as keys", id="a list"),
        pytest.param('{"a": {}, "a": {}}', ':1: the key "a" stands twice', id="a key twice"),
        pytest.param("{,}", "not valid JSON", id="no JSON"),
    ],
)
def test_a_file_that_cannot_be_read_is_listed_and_stops_nobody(workspace: Path, content: str, expected: str) -> None:
    file = workspace / "external_providers.json"
    file.write_text(content)
    assert expected in problem(workspace, "external_providers.json").message
    assert create_provider("stub", Workspace.open(workspace)).name == "stub"
    with pytest.raises(UnknownProviderError) as caught:
        create_provider("acme", Workspace.open(workspace))
    assert str(file) in caught.value.hint


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        pytest.param({"modul": "x"}, 'bad.modul: unknown key "modul". Did you mean module?', id="unknown key"),
        pytest.param({}, 'name either a "module" or a "path"', id="nothing"),
        pytest.param({"module": "a", "path": "b"}, 'name either a "module" or a "path"', id="both"),
        pytest.param("acme.llm", "bad: ", id="a text"),
        pytest.param({"module": "absent_x.y"}, "bad: there is no module absent_x.y", id="no such module"),
        pytest.param({"module": "json.absent"}, "bad: there is no module json.absent", id="no such part of a module"),
        pytest.param({"module": "lone.absent"}, "bad: there is no module lone.absent", id="a file has no parts"),
        pytest.param({"module": "../lone"}, '"../lone" is not the name of a module', id="a path"),
        pytest.param({"path": "absent"}, "bad.path: there is no ", id="no such path"),
        pytest.param({"path": "empty"}, "config.json: there is no such file", id="an empty folder"),
        pytest.param({"path": "lone.py", "config_path": "no.json"}, "no.json: there is no such file", id="no config"),
    ],
)
def test_a_bad_entry_is_broken_and_its_neighbours_work(workspace: Path, entry: Any, expected: str) -> None:
    write(workspace, {"lone.py": ACME, "empty/x": ""})
    external(workspace, **{"$schema": "s", "bad": entry, "good": {"path": "lone.py"}})
    assert expected in problem(workspace, "bad").message
    assert found(workspace)["bad"].source == "external_providers.json"
    assert answer(workspace, "good") == "Acme: hi"


def test_a_name_that_no_provider_can_have(workspace: Path) -> None:
    external(workspace, **{"a:b": {"module": "json"}})
    assert '"a:b" cannot be a provider\'s name' in problem(workspace, "a:b").message


def test_a_module_is_never_taken_for_another_of_its_name(workspace: Path, tmp_path: Path) -> None:
    write(workspace, {"pack/__init__.py": ACME})
    external(workspace, acme={"module": "pack"})
    assert answer(workspace, "acme") == "Acme: hi"
    second = write(tmp_path / "second", {"config.json": "{}", "pack/__init__.py": CLASS.format(name="Other")})
    external(second, acme={"module": "pack"})
    with pytest.raises(ProviderLoadError, match=rf"another module pack is loaded already, from {workspace}"):
        answer(second, "acme")


@pytest.mark.parametrize(
    ("code", "class_name", "expected", "hint"),
    [
        pytest.param("raise ValueError('a\\nb')", "", "cannot be imported: ValueError: a b", "", id="raises"),
        pytest.param("import sys; sys.exit()", "", "calls sys.exit when it is imported", "Take", id="exits"),
        pytest.param("import absent_sdk.x", "", "absent_sdk", "pip install absent_sdk", id="missing package"),
        pytest.param("from . import absent", "", "cannot be imported: ImportError", "", id="missing part of its own"),
        pytest.param("import pack.absent", "", "No module named 'pack.absent'", "", id="missing module of its own"),
        pytest.param("X = 1", "", "defines no BaseLLM", "Define exactly one", id="no class"),
        pytest.param(ACME + CLASS.format(name="B"), "", "2 subclasses of BaseLLM (Acme, B)", "Define", id="two"),
        pytest.param("X = 1", "Acme", "defines no Acme", "", id="not there"),
        pytest.param("class Acme: pass", "Acme", "Acme is no subclass of BaseLLM", "Derive it", id="wrong class"),
        pytest.param("Acme = 3", "Acme", "Acme is no subclass of BaseLLM", "Derive it", id="no class at all"),
    ],
)
def test_code_that_cannot_be_used_names_its_file(
    workspace: Path, code: str, class_name: str, expected: str, hint: str
) -> None:
    write(workspace, {"pack/__init__.py": "", "pack/llm.py": code, "good.py": ACME})
    entry = {"module": "pack.llm"} | ({"class": class_name} if class_name else {})
    external(workspace, acme=entry, good={"path": "good.py"})
    registry = ProviderRegistry(Workspace.open(workspace))
    assert registry.discovered()["acme"].problem is None
    with pytest.raises(ProviderLoadError) as caught:
        registry.get("acme")
    assert caught.value.message.startswith(f"{workspace / 'pack' / 'llm.py'}:")
    assert expected in caught.value.message
    assert "\n" not in caught.value.message
    assert caught.value.hint.startswith(hint)
    assert registry.discovered()["acme"].problem is caught.value
    assert registry.get("good").name == "good"


# --- paths inside a folder


@pytest.mark.parametrize("where", ["providers", "external"])
def test_a_link_in_a_folder_is_refused_before_anything_is_imported(
    workspace: Path, tmp_path: Path, add_provider: Callable[..., Path], where: str
) -> None:
    canary = tmp_path / "canary"
    evil = write(tmp_path / "away", {"evil.py": f"open({str(canary)!r}, 'w').close()"}) / "evil.py"
    folder = add_provider("sly", "pass")
    (folder / "provider.py").unlink()
    (folder / "provider.py").symlink_to(evil)
    if where == "external":
        folder.rename(workspace / "elsewhere")
        external(workspace, sly={"path": "elsewhere"})
    with pytest.raises(ProviderLoadError, match="is a link to outside the provider's folder"):
        create_provider("sly", Workspace.open(workspace))
    assert not canary.exists()


def test_a_folder_without_config_json_says_what_to_write(workspace: Path) -> None:
    write(workspace / "providers" / "bare", {"provider.py": ACME})
    error = problem(workspace, "bare")
    assert isinstance(error, ConfigurationError)
    assert error.hint == 'Beside provider.py it says at least {"name": "bare", "open_catalogue": true}.'


def test_a_thousand_folders_are_found(workspace: Path) -> None:
    models = [{"name": f"m{n}", "cost_input": n, "cost_output": n} for n in range(10)]
    for n in range(1000):
        listed = {"name": f"p{n}", "api": "openai", "base_url": "https://x.example/v1", "llm_models": models}
        write(workspace / "providers" / f"p{n}", {"config.json": listed, "provider.py": ACME})
    here = Workspace.open(workspace)
    listed_now = discover(here)
    assert sum(provider.problem is None for provider in listed_now.values()) >= 1000
    assert instantiate(listed_now["p7"], here).name == "p7"


@pytest.mark.parametrize(("module", "hint"), [("absent_llm", 'named as "path"'), ("./llm.py", 'named as "path"')])
def test_a_module_that_is_not_there_may_be_a_path(workspace: Path, module: str, hint: str) -> None:
    external(workspace, acme={"module": module})
    assert hint in problem(workspace, "acme").hint


def test_a_method_of_nearly_the_right_name_is_named(workspace: Path) -> None:
    write(workspace, {"near.py": ACME.replace("_call_llm_api", "_call_llm_ap")})
    external(workspace, acme={"path": "near.py"})
    with pytest.raises(ProviderLoadError, match="cannot be made") as caught:
        answer(workspace, "acme")
    assert caught.value.hint == "Did you mean _call_llm_api by _call_llm_ap?"


def test_a_config_path_that_leads_nowhere_is_told(workspace: Path) -> None:
    write(workspace, {"near.py": ACME})
    external(workspace, acme={"path": "near.py", "config_path": "prcies.json"})
    error = problem(workspace, "acme")
    assert "prcies.json: there is no such file" in error.message
    assert error.hint == 'Mend "config_path" in external_providers.json, or leave it away.'
