"""The client that openapi-python-client generates from the served document: all of it is typed, and it runs a job."""

from __future__ import annotations

import importlib
import inspect
import json
import re
import subprocess
import sys
import typing
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from oris.api.routes import route_table

from ..e2e.server_process import ServerProcess, clean_environment, serving

TOKEN = "t" * 40
PACKAGE = "oris_client"
JOB = Path(__file__).parent / "first_job.py"
PAGE = Path(__file__).parents[2] / "docs" / "api.md"
REF = "#/components/schemas/"
OWN_VALUE = {"$ref": REF + "Json"}
WORKER_CALLS = ("poll", "heartbeat", "extend_lease", "report_step", "suspend", "interrupt", "ack", "release")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """With a token, as the client asks for one."""
    with serving(tmp_path_factory.mktemp("server"), ORIS_API_AUTH_BEARER_TOKEN=TOKEN) as running:
        yield running


@pytest.fixture(scope="module")
def served(server: ServerProcess) -> Any:
    """The document as the server sends it."""
    with server.client() as http:
        return http.get("/openapi.json").json()


@pytest.fixture(scope="module")
def folder(served: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the generated package is. The generator had nothing to warn of: it left nothing out."""
    folder = tmp_path_factory.mktemp("generated")
    (folder / "openapi.json").write_text(json.dumps(served))
    (folder / "config.yml").write_text("post_hooks: []\n")  # they only make it prettier
    arguments = ("--path", "openapi.json", "--output-path", PACKAGE, "--meta", "none", "--config", "config.yml")
    made = run("-m", "openapi_python_client", "generate", *arguments, "--fail-on-warning", folder=folder)
    assert made.returncode == 0, made.stdout + made.stderr
    assert "Warning" not in made.stdout + made.stderr
    return folder


@pytest.fixture
def models(folder: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The generated classes."""
    monkeypatch.syspath_prepend(folder)
    return importlib.import_module(f"{PACKAGE}.models")


def run(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """A program of this Python, in a folder."""
    environment = clean_environment(PYTHONPATH=str(folder))
    return subprocess.run(
        [sys.executable, *arguments], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


def classes(models: ModuleType) -> dict[str, type]:
    """Each class by its name, as components are named without their underscores."""
    return {name.lower(): cls for name, cls in vars(models).items() if inspect.isclass(cls)}


def fields_of(cls: type, models: ModuleType) -> dict[str, Any]:
    """The types of a class's fields; its names keep clear of Python's own with a `_`."""
    hints = typing.get_type_hints(cls, localns=vars(models))
    return {name.rstrip("_"): kind for name, kind in hints.items() if name != "additional_properties"}


def program_of_the_docs() -> str:
    """The only one that uses the client."""
    (program,) = re.findall(rf"```python\n(from {PACKAGE}.*?)```", PAGE.read_text(), re.DOTALL)
    return str(program)


def is_any(kind: Any) -> bool:
    """Whether anything goes."""
    return kind is Any or Any in typing.get_args(kind)


def test_every_schema_is_a_class_with_all_of_its_fields_typed(served: Any, models: ModuleType) -> None:
    known = classes(models)
    objects = {name: one for name, one in served["components"]["schemas"].items() if "properties" in one}
    assert len(objects) > 100
    for name, schema in objects.items():
        typed = fields_of(known[name.replace("_", "").lower()], models)
        assert set(typed) == {field.replace("-", "_") for field in schema["properties"]}, name
        untyped = {field for field, kind in typed.items() if is_any(kind)}
        own = {
            field
            for field, one in schema["properties"].items()
            if {"$ref": one.get("$ref")} == OWN_VALUE or OWN_VALUE in one.get("anyOf", ())
        }
        assert untyped == own, name


def test_every_enum_is_a_class_with_its_words(served: Any, models: ModuleType) -> None:
    known = classes(models)
    enums = {name: one["enum"] for name, one in served["components"]["schemas"].items() if "enum" in one}
    assert len(enums) > 25
    for name, words in enums.items():
        members = typing.cast("type[Enum]", known[name.lower()])
        assert {member.value for member in members} == set(words)


@pytest.mark.parametrize("call", WORKER_CALLS)
def test_a_call_of_workers_is_typed_from_its_body_to_its_answer(call: str, models: ModuleType) -> None:
    function = importlib.import_module(f"{PACKAGE}.api.workers.{call}").sync
    hints = typing.get_type_hints(function)
    bodies = typing.get_args(hints["body"]) or (hints["body"],)
    assert len(bodies) == (2 if call in ("heartbeat", "extend_lease", "report_step", "ack") else 1)
    answer = getattr(models, "".join(word.capitalize() for word in call.split("_")) + "Response")
    assert answer in typing.get_args(hints["return"])
    data = fields_of(answer, models)["data"]
    for cls in (*bodies, *(typing.get_args(data) or (data,))):
        assert cls in vars(models).values()
        assert fields_of(cls, models)


def test_the_calls_of_workers_are_all_there_are(served: Any) -> None:
    tagged = [
        operation["operationId"]
        for methods in served["paths"].values()
        for operation in methods.values()
        if operation["tags"] == ["workers"]
    ]
    assert tagged == list(WORKER_CALLS)
    assert len(served["paths"]) == len({route.path for route in route_table(1).routes})


def test_the_client_and_a_program_with_it_pass_mypy_strict(folder: Path) -> None:
    (folder / JOB.name).write_text(JOB.read_text())
    (folder / "from_docs.py").write_text(program_of_the_docs())
    programs = ("-m", JOB.stem, "-m", "from_docs")
    checked = run("-m", "mypy", "--strict", "--config-file=", "-p", PACKAGE, *programs, folder=folder)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "Success" in checked.stdout


def test_the_first_job_of_the_readme_is_done_with_the_client(server: ServerProcess, folder: Path) -> None:
    ran = run(str(JOB), server.url, TOKEN, folder=folder)
    assert ran.returncode == 0, ran.stderr
    steps = ["step_recorded"] * 3
    assert json.loads(ran.stdout) == {
        "status": "completed",
        "attempt_no": 1,
        "result": {"total": 42},
        "events": ["run_created", "attempt_queued", "lease_granted", *steps, "completed"],
    }


def test_the_program_of_the_docs_runs_on_an_open_server(folder: Path, tmp_path: Path) -> None:
    with serving(tmp_path) as running:
        program = program_of_the_docs().replace("http://127.0.0.1:8080", running.url)
        ran = run("-c", program, folder=folder)
    assert ran.returncode == 0, ran.stderr
    assert re.fullmatch("run_[0-9a-f]{32} (RunStatus.QUEUED|queued)\n", ran.stdout)
