"""Packages: checked before they are installed, and once they are."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from llm_tester.config import Workspace
from llm_tester.llms.provider_factory import discover
from llm_tester.testing.contract import check_discovered, check_folder
from tests.llms.packages import ACME, LISTED, forget, install, write

TWO = {
    "__init__.py": "",
    "terms.py": "WORDS = 3",
    "provider.py": f"from acme_legal.terms import WORDS\n{ACME}",
    "config.json": {**LISTED, "name": "legal"},
}


def test_a_package_that_is_not_installed_may_name_itself(workspace: Path, tmp_path: Path) -> None:
    folder = write(tmp_path / "pkg" / "acme_legal", TWO)
    path, modules = [*sys.path], {*sys.modules}
    verdict = check_folder(folder, Workspace.open(workspace, {}))
    assert verdict, str(verdict)
    assert sys.path == path
    assert not [name for name in {*sys.modules} - modules if name.startswith("acme_legal")]


def test_the_package_in_the_folder_is_checked_and_not_the_one_that_is_loaded(workspace: Path, tmp_path: Path) -> None:
    older = write(tmp_path / "older" / "acme_legal", {**TWO, "terms.py": "OTHER = 1"})
    newer = write(tmp_path / "newer" / "acme_legal", TWO)
    here = Workspace.open(workspace, {})
    assert not check_folder(older, here)
    assert check_folder(newer, here)


@pytest.mark.parametrize("entry", ["acme_bare:Acme", "acme_bare"])
def test_a_package_without_its_config_json_is_noted(workspace: Path, tmp_path: Path, entry: str) -> None:
    site = tmp_path / "site"
    site.mkdir()
    sys.path.insert(0, str(site))
    try:
        install(site, "acme_bare", {"bare": entry}, {"__init__.py": ACME, "provider.py": ACME})
        here = Workspace.open(workspace, {})
        verdict = check_discovered(discover(here)["bare"], here)
        found = verdict.findings[0]
    finally:
        sys.path.remove(str(site))
        forget("acme_bare")
    assert (found.rule, found.state) == ("configuration", "note")
    assert f"no config.json was installed beside the module, in {site}/acme_bare" in found.text
    assert "package data" in found.fix
