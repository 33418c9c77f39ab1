"""Providers from installed packages: entry points, and what they may not do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from llm_tester.config import Workspace
from llm_tester.errors import LLMTesterError
from llm_tester.llms.provider_factory import create_provider
from tests.llms.packages import ACME, CATALOGUE, answer, found, install, problem, write

pytestmark = pytest.mark.usefixtures("modules")


@pytest.mark.parametrize(
    ("value", "files", "expected"),
    [
        pytest.param("acme_llm.llm:Acme", {"__init__.py": "", "llm.py": ACME}, "Acme: hi", id="a class"),
        pytest.param("acme_llm.llm", {"llm.py": ACME}, "Acme: hi", id="a module without __init__.py"),
        pytest.param(
            "acme_llm:Acme", {"__init__.py": "from acme_llm.x import Acme", "x.py": ACME}, "Acme: hi", id="top"
        ),
        pytest.param("acme_llm", {"__init__.py": ACME}, "Acme: hi", id="a package"),
        pytest.param(
            "acme_llm.in",
            {"in/config.json": {"name": "acme", **CATALOGUE}, "in/provider.py": ACME},
            "Acme: hi",
            id="a provider folder in a package",
        ),
    ],
)
def test_an_installed_provider(workspace: Path, site: Path, value: str, files: dict[str, Any], expected: str) -> None:
    if value == "acme_llm.in":
        value, files = "acme_llm.inner", {name.replace("in/", "inner/"): content for name, content in files.items()}
    install(site, "acme_llm", {"acme": value}, files)
    assert answer(workspace, "acme") == expected
    assert found(workspace)["acme"].source == "installed: acme-llm 1.2"


def test_a_package_needs_no_code(workspace: Path, site: Path) -> None:
    listed = {"name": "acme", "api": "openai", "base_url": "http://127.0.0.1:9", **CATALOGUE}
    install(site, "acme_llm", {"acme": "acme_llm"}, {"config.json": listed, "__init__.py": "raise ValueError"})
    assert type(create_provider("acme", Workspace.open(workspace))).__name__ == "OpenAICompatible"


def test_a_single_file_may_be_installed(workspace: Path, site: Path) -> None:
    (site / "lone_llm.py").write_text(ACME)
    (site / "config.json").write_text("this is not ours")
    install(site, "lone_llm", {"acme": "lone_llm:Acme"}, {})
    assert answer(workspace, "acme") == "Acme: hi"


def test_the_entry_point_has_the_name_of_its_config_json(workspace: Path, site: Path) -> None:
    install(site, "acme_llm", {"acme": "acme_llm"}, {"config.json": {"name": "other", "api": "openai"}})
    assert '"other" is not the entry point\'s name "acme"' in problem(workspace, "acme").message


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("../evil", "is not the name of a module"),
        ("acme_llm/../evil:Acme", "is not the name of a module"),
        ("/etc/evil:Acme", "is not the name of a module"),
        ("acme_llm..evil", "is not the name of a module"),
        ("absent_x:Acme", "there is no module absent_x"),
        ("acme_llm.absent", "there is no module acme_llm.absent"),
        ("acme_llm.linked:Acme", "linked.py: is a link to outside the provider's folder"),
        ("acme_llm.out:Acme", "is a link to outside the provider's folder"),
        ("acme_llm.out.evil:Acme", "is a link to outside the provider's folder"),
        ("acme_llm.far", "is a link to outside the provider's folder"),
        ("acme_llm.round:Acme", "there is no module acme_llm.round"),
    ],
)
def test_an_entry_point_may_not_leave_its_package(
    workspace: Path, tmp_path: Path, site: Path, value: str, expected: str
) -> None:
    canary = tmp_path / "canary"
    evil = f"open({str(canary)!r}, 'w').close()\n{ACME}"
    away = write(tmp_path / "away", {"evil.py": evil, "__init__.py": evil, "provider.py": evil})
    (site / "evil.py").write_text(evil)
    package = install(site, "acme_llm", {"acme": value}, {"__init__.py": "", "far/__init__.py": ""})
    (package / "linked.py").symlink_to(away / "evil.py")
    (package / "out").symlink_to(away)
    (package / "far" / "provider.py").symlink_to(away / "provider.py")
    (package / "round.py").symlink_to(package / "round.py")
    assert expected in problem(workspace, "acme").message
    with pytest.raises(LLMTesterError):
        create_provider("acme", Workspace.open(workspace))
    assert not canary.exists()
    assert create_provider("stub", Workspace.open(workspace)).name == "stub"


@pytest.mark.parametrize(
    "text", ["[llm_tester.providers]\nno equals sign\n", b"\xff[llm_tester.providers]\na = b", "[other]\nx = y:z\n"]
)
def test_metadata_that_cannot_be_read_stops_nobody(workspace: Path, site: Path, text: str | bytes) -> None:
    install(site, "broken_llm", {}, {})
    file = site / "broken_llm-1.2.dist-info" / "entry_points.txt"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    assert create_provider("stub", Workspace.open(workspace)).name == "stub"
    listed = found(workspace).get("broken-llm")
    assert (listed is not None) == (isinstance(text, str) and "equals" in text)


def test_a_package_that_is_found_twice_is_one(workspace: Path, site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = install(site, "acme_llm", {"acme": "acme_llm:Acme"}, {"__init__.py": ACME})
    monkeypatch.syspath_prepend(write(site.parent / "second", {"x": ""}))
    install(site.parent / "second", "acme_llm", {"acme": "acme_llm:Acme"}, {"__init__.py": ACME})
    provider = found(workspace)["acme"]
    assert provider.folder == site.parent / "second" / "acme_llm" != package
    assert provider.shadows == ()
