"""The wheel, installed where the checkout cannot be reached: it has its providers and tasks and runs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parent.parent
WHERE = """
import json, llm_tester
from llm_tester import Workspace, discover_provider_classes
from llm_tester.evals.tasks import find_tasks
from llm_tester.llms.provider_factory import builtin_folder
print(json.dumps({
    "file": llm_tester.__file__,
    "folders": [str(builtin_folder("providers")), str(builtin_folder("tasks"))],
    "providers": sorted(discover_provider_classes()),
    "tasks": {name: found.problem is None for name, found in find_tasks(Workspace(None)).items()},
}))
"""


def ran(*command: str | Path, folder: Path) -> str:
    """Standard output of a command that must end well, in an environment that names neither us nor our tools."""
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PYTHON", "COVERAGE", "COV_CORE", "VIRTUAL_ENV", "PIP_"))
    }
    ended = subprocess.run(command, cwd=folder, env=environment, capture_output=True, encoding="utf-8", check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of a fresh environment in which the wheel is installed."""
    place = tmp_path_factory.mktemp("packaging")
    build = [sys.executable, "-m", "build", "--no-isolation", "--wheel", "--outdir", str(place / "dist"), str(CHECKOUT)]
    ran(*build, folder=place)
    (wheel,) = (place / "dist").glob("*.whl")
    venv.create(place / "venv", with_pip=False)
    programs = place / "venv" / ("Scripts" if os.name == "nt" else "bin")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", str(programs / "python")]
    ran(*pip, "install", "--no-deps", "--no-index", str(wheel), folder=place)
    # A folder in a .pth file is searched for packages, but its own .pth files, such as that of an editable install,
    # are not read.
    ask = "import sysconfig; print(sysconfig.get_path('purelib'))"
    here = ran(sys.executable, "-c", ask, folder=place).strip()
    there = ran(programs / "python", "-c", ask, folder=place).strip()
    Path(there, "dependencies.pth").write_text(f"{here}\n", "utf-8")
    return programs


def test_the_wheel_has_its_providers_and_tasks_inside_the_package(programs: Path, tmp_path: Path) -> None:
    found = json.loads(ran(programs / "python", "-c", WHERE, folder=tmp_path))
    package = Path(found["file"]).parent
    assert package.is_relative_to(programs.parent)
    assert not package.is_relative_to(CHECKOUT)
    assert found["folders"] == [str(package / "providers"), str(package / "tasks")]
    assert found["providers"] == sorted(path.parent.name for path in (CHECKOUT / "providers").glob("*/config.json"))
    assert found["tasks"] == dict.fromkeys(
        sorted(path.parent.name for path in (CHECKOUT / "tasks").glob("*/task.json")), True
    )
    assert (package / "py.typed").is_file()
    assert (package / "reporting" / "report.html.jinja").is_file()


def test_the_installed_program_runs_the_demonstration(programs: Path, tmp_path: Path) -> None:
    shown = ran(programs / "llm-tester", "demo", folder=tmp_path)
    assert "5 entrants, 430 calls" in shown
    assert "Next    cd llm-tester-demo && llm-tester show last --wrong" in shown
    assert [path.name for path in tmp_path.iterdir()] == ["llm-tester-demo"]
    (run,) = json.loads(ran(programs / "llm-tester", "runs", "list", "--json", folder=tmp_path / "llm-tester-demo"))
    assert run["status"] == "incomplete"


def test_nothing_of_the_checkout_but_code_and_data_is_installed(programs: Path, tmp_path: Path) -> None:
    listed = json.loads(
        ran(
            programs / "python",
            "-c",
            "import json, importlib.metadata as m; print(json.dumps([str(f) for f in m.files('llm-tester')]))",
            folder=tmp_path,
        )
    )
    tops = {name.partition("/")[0] for name in listed if not name.startswith("..")}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"llm_tester"}
    assert [name for name in listed if name.endswith((".sqlite3", ".env", ".schema.json"))] == []
