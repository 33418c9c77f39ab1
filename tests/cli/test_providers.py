"""`providers list`, `show`, `check` and `new`."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import Any

import pytest

from llm_tester.llms.provider_factory import builtin_folder
from llm_tester.testing import LoopbackServer
from tests.evals.conftest import Bench

ECHO = """
from llm_tester import BaseLLM

class Echo(BaseLLM):
    def _call_llm_api(self, prompt, system_prompt, model_name, model_config):
        return prompt, {"input": 3, "output": 4}
"""
PAID = ECHO.replace("return prompt", "import urllib.request as u; u.urlopen('http://paid.example'); return prompt")


def row(bench: Bench, name: str) -> dict[str, Any]:
    rows: list[dict[str, Any]] = bench.cli("providers", "list", "--json").json
    return next(row for row in rows if row["name"] == name)


def said(text: str) -> str:
    return " ".join(text.split())


def test_the_list_says_where_each_provider_is_and_what_is_wrong(bench: Bench) -> None:
    own = bench.provider("stub", ECHO)
    bench.write("providers/bad/config.json", {"name": "bad", "apy": 1})
    bench.write("lone.py", ECHO)
    bench.write("external_providers.json", {"lone": {"path": "lone.py", "class": "Echo"}})
    bench.write("config.json", {"providers": {"openai": {"enabled": False}}})
    assert row(bench, "stub") == {
        "name": "stub",
        "state": "ok",
        "source": "workspace",
        "folder": str(own),
        "served_by": "provider.py",
        "models": 1,
        "default_model": "m",
        "env_key": None,
        "key_set": None,
        "problem": None,
        "hint": None,
        "not_used": [str(builtin_folder("providers") / "stub")],
    }
    assert row(bench, "bad")["state"] == "broken"
    assert "Did you mean api?" in row(bench, "bad")["problem"]
    assert (row(bench, "lone")["source"], row(bench, "lone")["served_by"]) == (
        "external_providers.json",
        "lone.py:Echo",
    )
    assert (row(bench, "openai")["state"], row(bench, "openai")["key_set"]) == ("disabled", False)
    shown = bench.cli("providers", "list")
    assert shown.code == 0
    assert f"stub: {own} is used; {builtin_folder('providers') / 'stub'} has the same name and is not." in shown.out
    assert "bad is broken: " in shown.out
    assert "GROQ_API_KEY key not set" in said(shown.out)
    assert "OPENAI_API_KEY disabled" in said(shown.out)
    assert "disabled" in shown.out


def test_the_list_imports_nothing(bench: Bench) -> None:
    bench.provider("eager", f"open({str(bench.root / 'canary')!r}, 'w').close()")
    assert row(bench, "eager")["state"] == "ok"
    assert bench.cli("providers", "show", "eager").code == 0
    assert not (bench.root / "canary").exists()
    assert bench.cli("providers", "check", "eager").code == 1
    assert (bench.root / "canary").exists()


def test_one_provider_is_shown(bench: Bench) -> None:
    bench.write(".env", "ACME_KEY=secret\n")
    models = [{"name": "big", "cost_input": 1.25, "cost_output": 10, "max_input_tokens": 1000}]
    config = {"name": "acme", "description": "Ours", "api": "openai", "base_url": "https://x.example/v1"}
    bench.write("providers/acme/config.json", {**config, "env_key": "ACME_KEY", "llm_models": models})
    shown = said(bench.cli("providers", "show", "acme").out)
    for text in ("State ok", "Served by api openai", "Key ACME_KEY, set", "Description Ours", "big * 1.25 10 1,000 –"):
        assert text in shown
    assert "secret" not in shown
    found = bench.cli("providers", "show", "acme", "--json").json
    assert found["config"]["llm_models"][0]["cost_input"] == "1.25"
    assert found["key_set"] is True
    assert "Simulated its answers cost no new money Catalogue any" in said(bench.cli("providers", "show", "stub").out)


def test_a_broken_one_and_one_without_config_json_are_shown_too(bench: Bench) -> None:
    bench.provider("stub", ECHO)
    bench.write("providers/bad/config.json", "{")
    bench.write("lone.py", ECHO)
    bench.write("external_providers.json", {"lone": {"path": "lone.py"}})
    shown = said(bench.cli("providers", "show", "bad").out)
    assert "State broken Why " in shown
    assert "not valid JSON" in shown
    assert bench.cli("providers", "show", "bad", "--json").json["config"] is None
    assert "Configuration none: any model, no prices" in said(bench.cli("providers", "show", "lone").out)
    assert "Not used " in bench.cli("providers", "show", "stub").out
    assert "Did you mean stub?" in bench.cli("providers", "show", "stbu").error()


def test_a_check_says_what_to_do(bench: Bench) -> None:
    bench.provider("bad", ECHO.replace('"input"', '"inptu"'))
    ended = bench.cli("providers", "check", "bad")
    assert ended.code == 1
    assert 'failed usage keys the usage has an unknown key "inptu"' in said(ended.out)
    assert "→ Did you mean input" in said(ended.out)
    assert said(ended.out).endswith("bad: 1 failed")
    (verdict,) = bench.cli("providers", "check", "bad", "--json").json
    assert (verdict["provider"], verdict["passed"]) == ("bad", False)
    assert {"rule": "class", "state": "ok", "text": "Echo is a BaseLLM", "fix": ""} in verdict["findings"]


def test_a_class_that_uses_a_network_is_not_called(bench: Bench) -> None:
    bench.provider("paid", PAID)
    ended = bench.cli("providers", "check", "paid")
    assert ended.code == 0
    assert "it asks for a connection to paid.example, so it was not called" in said(ended.out)
    assert "--call calls it, with your key and at your cost" in said(ended.out)
    assert said(ended.out).endswith("paid: passed, not all was tried")


def test_call_calls_it(bench: Bench) -> None:
    with LoopbackServer() as server:
        bench.provider("local", PAID.replace("http://paid.example", f"{server.url}/models"))
        assert bench.cli("providers", "check", "local").code == 0
        assert server.connections == 0
        ended = bench.cli("providers", "check", "local", "--call")
        assert ended.code == 0, ended
        assert server.count == 6
        assert "6 calls made for this check" in said(ended.out)


def test_without_a_name_all_are_checked(bench: Bench) -> None:
    names = [path.name for path in builtin_folder("providers").iterdir()]
    off = {name: {"enabled": False} for name in names if name not in ("stub", "openai")}
    bench.write("config.json", {"providers": off})
    bench.provider("exits", "import sys; sys.exit(3)")
    bench.provider("paid", PAID)
    ended = bench.cli("providers", "check")
    assert ended.code == 1
    shown = said(ended.out)
    assert "exits failed 0 0 0 1" in shown
    assert "stub passed" in shown
    assert "openai passed" in shown
    assert "paid: calls: it asks for a connection" in shown
    assert "exits: loads: " in shown
    assert "calls sys.exit when it is imported" in shown
    assert "mock" not in shown
    (bench.root / "providers" / "exits" / "provider.py").write_text(ECHO)
    assert bench.cli("providers", "check").code == 0


def test_what_cannot_be_checked(bench: Bench) -> None:
    bench.write("config.json", {"providers": {"stub": {"enabled": False}}})
    assert 'the provider "stub" is disabled' in bench.cli("providers", "check", "stub").error()
    assert "Did you mean mock?" in bench.cli("providers", "check", "mokc").error()
    assert "config.json: there is no such file" in bench.cli("providers", "check", "./nowhere").error()
    bench.write("list/config.json", "[1]")
    assert bench.cli("providers", "check", "./list").code == 1


@pytest.mark.parametrize(
    ("code", "text"),
    [
        pytest.param("import os; os._exit(0)", "calls sys.exit when it is imported", id="ends the process"),
        pytest.param(ECHO.replace("return", "import os; os._exit(0); return"), "SystemExit: 0", id="ends it in a call"),
        pytest.param(f"import os; os.fork()\n{ECHO}", "a second process is not allowed in a check", id="forks"),
        pytest.param(
            "class Odd(Exception):\n    def __str__(self): raise KeyError\nraise Odd",
            "cannot be imported: Odd: whose text raises KeyError",
            id="an error without a text",
        ),
    ],
)
def test_code_that_would_end_the_check(bench: Bench, code: str, text: str) -> None:
    bench.provider("rough", code)
    ended = bench.cli("providers", "check", "rough", "--json")
    assert ended.code == 1
    assert text in ended.json[0]["findings"][-1]["text"]


# --- new


@pytest.mark.parametrize("kind", ["folder", "class"])
@pytest.mark.parametrize("name", ["acme", "9.my-llm_x"])
def test_what_new_makes_passes_its_check(bench: Bench, kind: str, name: str) -> None:
    made = bench.cli("providers", "new", name, "--kind", kind)
    assert made.code == 0
    assert f"made providers/{name}/config.json\n" in made.out
    assert f"Next: llm-tester providers check {name}\n" in made.out
    for line in made.out.splitlines():
        if line.startswith("made "):
            assert (bench.root / line.removeprefix("made ")).is_file()
    checked = bench.cli("providers", "check", name)
    assert checked.code == 0, checked.out
    assert "failed" not in checked.out
    assert "skipped" not in checked.out
    assert row(bench, name)["models"] == 1
    before = bench.snapshot()
    assert "exists already" in bench.cli("providers", "new", name).error()
    assert bench.snapshot() == before


def test_a_new_class_answers_at_a_price(bench: Bench) -> None:
    bench.cli("providers", "new", "mine", "--kind", "class")
    found = bench.cli("ask", "Hello there", "-m", "mine", "--json").json
    assert found["text"] == "there Hello"
    assert found["cost_usd"] == "0.000004"


def test_the_schema_for_editors_is_written_once(bench: Bench) -> None:
    bench.cli("providers", "new", "one")
    schema = bench.root / "providers" / "provider.schema.json"
    assert schema.read_text() == bench.cli("schema", "provider").out
    schema.write_text("mine")
    assert "schema" not in bench.cli("providers", "new", "two").out
    assert schema.read_text() == "mine"


@pytest.mark.parametrize("kind", ["folder", "class", "package"])
@pytest.mark.parametrize("name", ["", "../x", "a b", "-x", "a" * 101, "a\n"])
def test_a_name_that_cannot_be_one(bench: Bench, kind: str, name: str) -> None:
    before = bench.snapshot()
    ended = bench.cli("providers", "new", "--kind", kind, "--", name)
    assert "cannot be a provider's name" in ended.error()
    assert bench.snapshot() == before


@pytest.mark.parametrize(("name", "project"), [("x..", "llm-tester-x"), ("class", "llm-tester-class")])
def test_a_package_has_a_name_that_can_be_installed(bench: Bench, name: str, project: str) -> None:
    assert bench.cli("providers", "new", name, "--kind", "package").code == 0
    said = tomllib.loads((bench.root / project / "pyproject.toml").read_text())["project"]
    assert said["name"] == project
    assert said["entry-points"]["llm_tester.providers"] == {name: project.replace("-", "_")}


@pytest.mark.parametrize("kind", ["pipe", "link", "folder"])
def test_what_is_called_config_json_and_is_no_file(bench: Bench, kind: str) -> None:
    place = bench.root / "providers" / "odd" / "config.json"
    place.parent.mkdir(parents=True)
    if kind == "pipe":
        os.mkfifo(place)
    elif kind == "link":
        place.symlink_to("nowhere")
    else:
        place.mkdir()
    assert "is not a file" in row(bench, "odd")["problem"]
    assert "is not a file" in bench.cli("providers", "check", "./providers/odd").error()


def test_a_folder_needs_a_workspace(bench: Bench, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    assert "`llm-tester init` makes a workspace" in bench.elsewhere(outside, "providers", "new", "x").error()
    assert list(outside.iterdir()) == []


def test_a_place_that_cannot_be_written(bench: Bench) -> None:
    (bench.root / "providers").rmdir()
    (bench.root / "providers").write_text("a file")
    assert "cannot be made: " in bench.cli("providers", "new", "x").error()


def test_a_new_package_passes_its_check_and_is_an_entry_point(bench: Bench) -> None:
    made = bench.cli("providers", "new", "my.pack", "--kind", "package")
    assert made.code == 0
    folder = "llm-tester-my-pack/llm_tester_my_pack"
    assert f"Next: llm-tester providers check ./{folder}\n      pip install -e ./llm-tester-my-pack makes" in made.out
    checked = bench.cli("providers", "check", f"./{folder}")
    assert checked.code == 0, checked.out
    assert "failed" not in checked.out
    project = tomllib.loads((bench.root / "llm-tester-my-pack" / "pyproject.toml").read_text())["project"]
    assert project["entry-points"] == {"llm_tester.providers": {"my.pack": "llm_tester_my_pack"}}
    assert "exists already" in bench.cli("providers", "new", "my-pack", "--kind", "package").error()
