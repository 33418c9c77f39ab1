"""`models list` and `models sync`, and the layout of the files that a sync writes."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from datetime import time
from pathlib import Path

import pytest
from genai_prices.types import ConditionalPrice

from llm_tester.catalogue import ProviderConfig
from llm_tester.cli.models import layout
from llm_tester.config import Workspace
from llm_tester.llms.catalogue_sync import apply
from llm_tester.llms.provider_factory import discover
from tests.cli.conftest import Program
from tests.llms.catalogue_data import D, at_times, model, per_token, planned

# --- the layout


def test_files_stay_readable() -> None:
    plan = planned(model("m", per_token("1", "2")), model("a-model-of-a-very-long-name" * 3, per_token("3", "4.5")))
    content = {"name": "acme", "api": "openai", "usage": {"paths": {}}, "timeout": D("60.0"), "headers": {}}
    assert layout(apply(plan, content)) == (
        "{\n"
        '  "name": "acme",\n'
        '  "api": "openai",\n'
        '  "usage": {"paths": {}},\n'
        '  "timeout": 60.0,\n'
        '  "headers": {},\n'
        '  "llm_models": [\n'
        '    {"name": "m", "cost_input": 1, "cost_output": 2, "priced_on": "2026-11-21"},\n'
        f'    {{"name": "{"a-model-of-a-very-long-name" * 3}", "cost_input": 3,\n'
        '     "cost_output": 4.5, "priced_on": "2026-11-21"}\n'
        "  ]\n"
        "}"
    )
    assert layout({}) == "{}"
    assert layout({"llm_models": [], "x": ["long" * 30, "ä"]}) == (
        '{\n  "llm_models": [],\n  "x": [\n    "' + "long" * 30 + '",\n    "ä"\n  ]\n}'
    )


def test_long_prices_stand_below_each_other() -> None:
    spans = [at_times(time(hour), time(hour + 1), per_token("1", "2", cache_read_mtok=D("0.5"))) for hour in (1, 5, 9)]
    text = layout(apply(planned(model("m", [ConditionalPrice(prices=per_token("1", "2")), *spans])), {}))
    lines = [line for line in text.splitlines() if '"from_utc"' in line]
    assert len(lines) == 3
    assert len({line.index('{"from_utc"') for line in lines}) == 1
    assert ProviderConfig.model_validate({"name": "acme", **json.loads(text)}).model("m")


# --- the commands


class Terminal(io.StringIO):
    """Standard input as a person would type it."""

    def isatty(self) -> bool:
        return True


def test_sync_writes_into_the_workspace_s_own_folder(program: Program, own: Path, workspace: Path) -> None:
    settings = (workspace / "config.json").read_text()
    code, out, _ = program("models", "sync", "acme", "--all", "--yes")
    assert code == 0
    flat = " ".join(out.split())
    assert "big cost_input 3 2" in flat
    assert "big cost_cached_input – 0.5" in flat
    assert "small 0.1 0.4" in flat
    assert "Not in genai-prices: x" in out
    assert "Not expressed: no price per token, only audio_hours: voice" in out
    assert out.endswith(f"wrote {own}\n")
    config = ProviderConfig.model_validate_json(own.read_text())
    assert [(entry.name, entry.cost_input) for entry in config.llm_models] == [
        ("big", 2),
        ("x", 1),
        ("small", D("0.1")),
    ]
    assert config.default_model == "big"
    assert (workspace / "config.json").read_text() == settings
    assert list(own.parent.iterdir()) == [own]
    before = own.read_bytes()
    code, out, _ = program("models", "sync", "acme", "--all", "acme", "--yes")
    assert (code, own.read_bytes()) == (0, before)
    assert "wrote" not in out
    assert program("models", "sync", "acme", "--all", "--yes", "--prune")[0] == 0
    assert ProviderConfig.model_validate_json(own.read_text()).model("x") is None
    assert program("models", "sync", "acme", "--all", "--yes")[1] == "acme: as in genai-prices\n"


def test_sync_can_leave_the_choice_of_models_alone(program: Program, own: Path) -> None:
    code, out, _ = program("models", "sync", "acme", "--yes")
    assert code == 0
    assert "voice" not in out
    assert [entry["name"] for entry in json.loads(own.read_text())["llm_models"]] == ["big", "x"]


def test_the_workspace_s_words_do_not_get_into_the_folder(program: Program, own: Path, workspace: Path) -> None:
    settings = {"providers": {"acme": {"llm_models": [{"name": "big", "max_input_tokens": 77}]}}}
    (workspace / "config.json").write_text(json.dumps(settings))
    assert program("models", "sync", "acme", "--all", "--yes")[0] == 0
    assert "77" not in own.read_text()


def test_nothing_is_written_unasked(program: Program, own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = own.read_bytes()
    code, out, err = program("models", "sync", "acme", "--all")
    assert (code, err) == (1, "Nothing was written; --yes writes without asking.\n")
    assert "cost_input" in out
    monkeypatch.setattr("llm_tester.cli.models.sys.stdout.isatty", lambda: True)
    monkeypatch.setattr(sys, "stdin", Terminal("n\n"))
    assert program("models", "sync", "acme", "--all")[0] == 1
    assert own.read_bytes() == before
    monkeypatch.setattr(sys, "stdin", Terminal("y\n"))
    code, out, _ = program("models", "sync", "acme", "--all")
    assert (code, f"Write {own}?" in out) == (0, True)
    assert own.read_bytes() != before


def test_an_installed_folder_is_never_written_into(
    program: Program, workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "installed" / "acme"
    folder.mkdir(parents=True)
    listing = {"name": "acme", "api": "openai", "llm_models": [{"name": "big", "cost_input": 3}, {"name": "x"}]}
    (folder / "config.json").write_text(json.dumps(listing))
    monkeypatch.setattr("llm_tester.llms.provider_factory.builtin_folder", lambda name: tmp_path / "installed")
    (workspace / "config.json").write_text('{"run": {"seed": 3}, "providers": {"acme": {"timeout": 60.0}}}')
    code, out, _ = program("models", "sync", "acme", "--all", "--yes")
    assert code == 0
    assert out.endswith(f"wrote {workspace / 'config.json'}\n")
    assert json.loads((folder / "config.json").read_text()) == listing
    text = (workspace / "config.json").read_text()
    assert '"timeout": 60.0' in text
    assert '\n        {"name": "small", "cost_input": 0.1, "cost_output": 0.4, "priced_on": "' in text
    config = discover(Workspace.open(workspace))["acme"].config
    assert config is not None
    assert [(entry.name, entry.cost_input) for entry in config.llm_models] == [
        ("big", 2),
        ("x", None),
        ("small", D("0.1")),
    ]
    assert program("models", "sync", "acme", "--all")[0] == 0


def test_limits_are_read_from_the_file_that_is_named(program: Program, own: Path, tmp_path: Path) -> None:
    file = tmp_path / "map.json"
    file.write_text(json.dumps({"acme/big": {"litellm_provider": "acme", "max_input_tokens": 4096}}))
    assert program("models", "sync", "acme", "--all", "--yes", "--limits", str(file))[0] == 0
    assert json.loads(own.read_text())["llm_models"][0]["max_input_tokens"] == 4096
    assert program("models", "sync", "acme", "--all", "--yes")[0] == 0
    assert json.loads(own.read_text())["llm_models"][0]["max_input_tokens"] == 4096


def test_mistakes_end_with_one_clear_error(
    program: Program, own: Path, workspace: Path, add_provider: Callable[..., Path], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    add_provider("local", api="openai", base_url="http://127.0.0.1:1/v1")
    add_provider("broken", api="nope")
    assert 'genai-prices has no prices for "local"' in program("models", "sync", "local")[2]
    assert "Did you mean acme?" in program("models", "sync", "acmee")[2]
    assert 'there is no built-in "nope"' in program("prices", "check", "broken")[2]
    assert (
        "is not LiteLLM's model map"
        in program("models", "sync", "acme", "--all", "--limits", str(workspace / "config.json"))[2]
    )
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    monkeypatch.setattr("llm_tester.llms.provider_factory.builtin_folder", lambda name: workspace / "providers")
    code, _, err = program("models", "sync", "acme", "--all", "--yes")
    assert code == 2
    assert "this is not a workspace" in err


def test_models_are_listed_with_prices_and_limits(program: Program, own: Path, workspace: Path) -> None:
    tiers = [{"above": 10, "cost_input": 4}]
    row = {
        "name": "big",
        "cost_cached_input": 0.25,
        "tiers": tiers,
        "max_input_tokens": 128000,
        "priced_on": "2026-11-09",
    }
    (workspace / "config.json").write_text(json.dumps({"providers": {"acme": {"llm_models": [row]}}}))
    code, out, _ = program("models", "list", "acme")
    assert code == 0
    lines = [" ".join(line.split()) for line in out.splitlines()]
    assert "acme:big * 3+ 0.25+ 8+ 128,000 – 2026-11-09" in lines
    assert "acme:x 1 – – – – –" in lines
    code, out, _ = program("models", "list", "--json")
    rows = [entry for entry in json.loads(out) if entry["provider"] == "acme"]
    assert rows[0] == {
        "provider": "acme", "default": True, "cost_input": 3, "cost_output": 8, **row
    }  # fmt: skip
    assert program("models", "list", "acme", "--json")[1] == json.dumps(rows, indent=2) + "\n"
    assert "Did you mean acme?" in program("models", "list", "acmee")[2]
