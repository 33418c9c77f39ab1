from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from llm_tester.errors import ProviderLoadError
from llm_tester.llms.base import BaseLLM
from llm_tester.llms.loading import attribute_of, import_module, load_module, subclass_in

NAME = "llm_tester_providers.sample"
CLASS = "class {name}(BaseLLM):\n    def _call_llm_api(self, *_): return '', {{}}\n"
HEAD = "from llm_tester import BaseLLM\n"


@pytest.fixture(autouse=True)
def _forget_modules() -> Iterator[None]:
    before = dict(sys.modules)
    yield
    for name in set(sys.modules) - set(before):
        if name.startswith(("llm_tester_providers", "outside_")):
            del sys.modules[name]


def write(folder: Path, code: str) -> Path:
    file = folder / "provider.py"
    file.write_text(code)
    return file


def problem(folder: Path, code: str) -> ProviderLoadError:
    with pytest.raises(ProviderLoadError) as caught:
        load_module(write(folder, code), NAME)
    assert NAME not in sys.modules
    return caught.value


def test_a_file_becomes_a_module(tmp_path: Path) -> None:
    module = load_module(write(tmp_path, "VALUE = 1"), NAME)
    assert attribute_of(module, "VALUE", where="provider.py") == 1
    assert sys.modules[NAME] is module


def test_a_file_may_import_its_neighbours(tmp_path: Path) -> None:
    (tmp_path / "neighbour.py").write_text("VALUE = 2")
    assert load_module(write(tmp_path, "from .neighbour import VALUE"), NAME).VALUE == 2


def test_two_folders_of_one_name_do_not_share_neighbours(tmp_path: Path) -> None:
    for value in ("one", "two"):
        folder = tmp_path / value
        folder.mkdir()
        (folder / "neighbour.py").write_text(f"VALUE = {value!r}")
        found = load_module(write(folder, "from .neighbour import VALUE"), NAME).VALUE
        assert found == value


@pytest.mark.parametrize(
    ("code", "message", "hint"),
    [
        pytest.param("raise ValueError('nope')", "cannot be imported: ValueError: nope", "", id="raises"),
        pytest.param("import sys; sys.exit(3)", "calls sys.exit when it is imported", "Take the call out.", id="exits"),
        pytest.param("raise GeneratorExit", "cannot be imported: GeneratorExit", "", id="raises something odd"),
        pytest.param("def (:", "cannot be imported: SyntaxError", "", id="no Python"),
        pytest.param(
            "import outside_sdk.client",
            "No module named 'outside_sdk'",
            "pip install outside_sdk",
            id="a missing package",
        ),
        pytest.param(
            "from .gone import x", "No module named 'llm_tester_providers.sample.gone'", "", id="a missing neighbour"
        ),
        pytest.param("import llm_tester.gone", "No module named 'llm_tester.gone'", "", id="a missing module of ours"),
        pytest.param("from llm_tester import Gone", "cannot import name 'Gone'", "", id="a missing name"),
    ],
)
def test_code_that_cannot_be_imported(tmp_path: Path, code: str, message: str, hint: str) -> None:
    error = problem(tmp_path, code)
    assert error.message.startswith(f"{tmp_path / 'provider.py'}:1: ")
    assert message in error.message
    assert error.hint == hint
    assert error.__cause__ is not None


def test_ctrl_c_while_importing_is_no_fault_of_the_code(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        load_module(write(tmp_path, "raise KeyboardInterrupt"), NAME)


def test_a_failure_leaves_the_module_that_was_there(tmp_path: Path) -> None:
    before = load_module(write(tmp_path, "VALUE = 1"), NAME)
    with pytest.raises(ProviderLoadError):
        load_module(write(tmp_path, "raise ValueError('the second one')"), NAME)
    assert sys.modules[NAME] is before


@pytest.mark.parametrize("name", ["absent.py", "absent.txt"])
def test_a_file_that_is_not_there(tmp_path: Path, name: str) -> None:
    with pytest.raises(ProviderLoadError, match="there is no such Python file"):
        load_module(tmp_path / name, NAME)


def test_installed_modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "outside_good.py").write_text("VALUE = 3")
    (tmp_path / "outside_exit.py").write_text("raise SystemExit")
    (tmp_path / "outside_interrupt.py").write_text("raise KeyboardInterrupt")
    assert import_module("outside_good").VALUE == 3
    with pytest.raises(ProviderLoadError, match=r"^outside_exit: calls sys\.exit"):
        import_module("outside_exit")
    with pytest.raises(ProviderLoadError, match=r"^outside_none: cannot be imported") as caught:
        import_module("outside_none")
    assert caught.value.hint == "pip install outside_none"
    with pytest.raises(KeyboardInterrupt):
        import_module("outside_interrupt")


@pytest.mark.parametrize(
    "code",
    [
        pytest.param(CLASS.format(name="Mine"), id="plain"),
        pytest.param(CLASS.format(name="Mine") + "Provider = Mine", id="under two names"),
        pytest.param("from llm_tester import *\n" + CLASS.format(name="Mine"), id="among names of ours"),
    ],
)
def test_the_one_class_is_found(tmp_path: Path, code: str) -> None:
    module = load_module(write(tmp_path, HEAD + code), NAME)
    assert subclass_in(module, BaseLLM, where="provider.py") is module.Mine


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        pytest.param("", "provider.py: defines no BaseLLM", id="none"),
        pytest.param("class Mine: pass", "provider.py: defines no BaseLLM", id="of another kind"),
        pytest.param("from llm_tester_providers.other import *", "", id="imported"),
        pytest.param(
            CLASS.format(name="B") + CLASS.format(name="A"),
            "provider.py: defines 2 subclasses of BaseLLM (A, B)",
            id="two",
        ),
    ],
)
def test_none_or_several_classes_are_an_error(tmp_path: Path, code: str, expected: str) -> None:
    if not expected:
        other = tmp_path / "other"
        other.mkdir()
        load_module(write(other, HEAD + CLASS.format(name="Mine")), "llm_tester_providers.other")
        expected = "provider.py: defines no BaseLLM"
    module = load_module(write(tmp_path, HEAD + code), NAME)
    with pytest.raises(ProviderLoadError) as caught:
        subclass_in(module, BaseLLM, where="provider.py")
    assert caught.value.message == expected
    assert caught.value.hint.startswith("Define exactly one subclass of BaseLLM in it")
    assert ('name one as "class" in external_providers.json' in caught.value.hint) == ("2 subclasses" in expected)


def test_an_absent_name_is_an_error(tmp_path: Path) -> None:
    module = load_module(write(tmp_path, ""), NAME)
    with pytest.raises(ProviderLoadError, match=r"^provider\.py: defines no Mine"):
        attribute_of(module, "Mine", where="provider.py")


def test_the_class_of_nearly_that_name_is_offered(tmp_path: Path) -> None:
    module = load_module(write(tmp_path, HEAD + CLASS.format(name="RuleBook")), NAME)
    with pytest.raises(ProviderLoadError, match="defines no Rulebook") as caught:
        attribute_of(module, "Rulebook", where="provider.py")
    assert caught.value.hint == "Did you mean RuleBook?"


def test_code_is_read_anew_though_an_older_version_was_compiled_in_the_same_second(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    file = tmp_path / "own.py"
    for value in (1, 2):
        file.write_text(f"VALUE = {value}\n")
        os.utime(file, (1_000_000_000, 1_000_000_000))
        assert value == load_module(file, "own_code").VALUE
    assert not (tmp_path / "__pycache__").exists()
