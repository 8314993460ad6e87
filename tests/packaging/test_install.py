"""Installing: what the documents say about it, and that a wheel has all that a server needs."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from oris.storage.migrate import migrations_folder, read_migrations
from tests.e2e.server_process import clean_environment, data_of, serving

from .pythons import ROOT, project

FROM_AN_INDEX = re.compile(r"pip3? install\b[^\n`]*\boris(?!_runtime-)[-_\w]*")
"""The distribution is on none: what is found there under such a name is somebody else's."""


def texts() -> Iterator[Path]:
    """All that a user reads, help texts and messages in the sources among it."""
    yield from (ROOT / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "Makefile", "pyproject.toml"))
    yield from (ROOT / "docs").rglob("*.md")
    yield from (ROOT / "src").rglob("*.py")


def test_nobody_is_told_to_install_it_from_an_index() -> None:
    found = [
        f"{path.relative_to(ROOT)}: {told}" for path in texts() for told in FROM_AN_INDEX.findall(path.read_text())
    ]
    assert found == []


@pytest.mark.parametrize(
    ("text", "is_wrong"),
    [
        ("pip install oris", True),
        ("pip install 'oris-runtime[otel]'", True),
        ("python -m pip install --upgrade oris_runtime", True),
        ("pip install .", False),
        ("pip install '.[otel]'", False),
        ("pip install dist/oris_runtime-*.whl", False),
    ],
)
def test_a_planted_line_about_an_index_is_found(text: str, is_wrong: bool) -> None:
    assert bool(FROM_AN_INDEX.search(text)) is is_wrong


def test_every_dependency_has_an_upper_bound() -> None:
    table = project()
    optional = [requirement for group in table["optional-dependencies"].values() for requirement in group]
    build = tomllib.loads((ROOT / "pyproject.toml").read_text())["build-system"]["requires"]
    foreign = [name for name in (*table["dependencies"], *optional, *build) if not name.startswith(table["name"])]
    assert [name for name in foreign if not re.fullmatch(r"[\w-]+>=[\d.]+,<[\d.]+", name)] == []


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built as README.md says."""
    folder = tmp_path_factory.mktemp("dist")
    command = "pip wheel --no-deps -w dist ."
    assert f"`{command}`" in README
    built = pip(*command.replace("-w dist", f"-w {folder}").split()[1:])
    assert built.returncode == 0, built.stderr
    [made] = folder.iterdir()
    return made


README = (ROOT / "README.md").read_text()


def pip(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pip", *arguments, "--disable-pip-version-check"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)


def test_a_server_runs_from_the_wheel_alone(wheel: Path, tmp_path: Path) -> None:
    """Its dependencies are those of this environment; of Oris itself there is only what the wheel has."""
    assert wheel.name == f"oris_runtime-{project()['version']}-py3-none-any.whl"
    site = tmp_path / "site"
    installed = pip("install", "--no-deps", "--no-index", "--target", str(site), str(wheel))
    assert installed.returncode == 0, installed.stderr
    # A path here goes before those of the environment, and its metadata too.
    environment = clean_environment(PYTHONPATH=str(site))

    def say(*arguments: str) -> str:
        command = [sys.executable, *arguments]
        return subprocess.check_output(command, cwd=tmp_path, env=environment, text=True, timeout=60)

    assert say("-c", "import oris; print(oris.__file__)").strip() == str(site / "oris" / "__init__.py")
    assert say("-m", "oris", "version").splitlines()[0] == f"oris {project()['version']}"
    assert say(str(site / "bin" / "oris"), "version").splitlines()[0] == f"oris {project()['version']}"
    titles = [migration.title for migration in read_migrations(migrations_folder("sqlite"))]
    planned = say("-m", "oris", "migrate", "--plan", "--sqlite-db", str(tmp_path / "x.db"))
    assert re.findall(r"^  (\S+) \(for version", planned, re.MULTILINE) == titles
    with serving(tmp_path, PYTHONPATH=str(site)) as server, server.client() as http:
        job = data_of(http.post("/v1/jobs/run", json={"thread_id": "t"}))
        assert job["status"] == "queued"
        assert data_of(http.get("/v1/capabilities"))["version"] == project()["version"]
