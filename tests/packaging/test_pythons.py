"""Which Pythons of a machine the project is tried on, and what it says of them."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from .pythons import Python, ask, candidates, choose, minors_tested, oldest_minor, places

HERE = (3, 12)


def pythons(*versions: str, lacking: tuple[str, ...] = ()) -> list[Python]:
    found = []
    for version in versions:
        major, minor, patch = map(int, version.split("."))
        found.append(Python(Path(f"/{version}/python3"), (major, minor, patch), lacking))
    return found


@pytest.mark.parametrize(
    ("found", "each", "tried"),
    [
        (["3.11.7", "3.12.1", "3.13.0"], False, ["3.11.7", "3.13.0"]),
        (["3.10.1", "3.12.1", "3.14.0", "3.13.0"], False, ["3.14.0"]),
        (["3.10.1", "3.12.1", "3.14.0", "3.13.0"], True, ["3.13.0", "3.14.0"]),
        (["3.13.0", "3.13.10", "3.13.9"], False, ["3.13.10"]),
        (["2.7.18", "3.9.1"], False, []),
        (["3.12.1"], False, []),
        ([], True, []),
    ],
)
def test_the_oldest_and_the_newest_are_tried_but_for_the_one_that_all_tests_run_on(
    found: list[str], each: bool, tried: list[str]
) -> None:
    choice = choose(pythons(*found), (3, 11), HERE, each=each)
    assert [python.shown for python in choice.to_try] == tried
    assert ("this machine has no other Python to try" in choice.words) is (tried == [])


def test_the_python_of_all_tests_is_named_where_it_is_the_oldest_or_the_newest() -> None:
    word = "3.12 is the Python of `make test`, which runs every test on it"
    assert word in choose(pythons("3.12.1", "3.13.0"), (3, 11), HERE).words
    assert word not in choose(pythons("3.11.1", "3.12.1", "3.13.0"), (3, 11), HERE).words


def test_a_python_without_sqlite_is_passed_over_with_a_word() -> None:
    found = [*pythons("3.13.0"), *pythons("3.14.0", lacking=("sqlite3", "ssl"))]
    choice = choose(found, (3, 11), HERE)
    assert [python.shown for python in choice.to_try] == ["3.13.0"]
    assert "3.14.0 is passed over: it was built without sqlite3, ssl" in choice.words


def script(path: Path, says: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{says}\n")
    path.chmod(0o755)
    return path


def test_interpreters_are_found_on_the_path_and_in_pyenvs_folder_and_each_once(tmp_path: Path) -> None:
    usual, pyenv = tmp_path / "usr" / "bin", tmp_path / ".pyenv"
    real = script(usual / "python3.12", "")
    (usual / "python3").symlink_to(real)
    for name in ("python3-config", "python3.12-gdb.py", "pythonw", "pip3"):
        script(usual / name, "")
    built = script(pyenv / "versions" / "3.13.0" / "bin" / "python3.13", "")
    (built.parent / "python").symlink_to(built)
    environment = {"PATH": f"{usual}:{tmp_path / 'missing'}"}
    assert places(environment, tmp_path) == [usual, tmp_path / "missing", built.parent]
    assert {path.resolve() for path in candidates(places(environment, tmp_path))} == {real, built}
    elsewhere = {**environment, "PYENV_ROOT": str(tmp_path / "other")}
    assert {path.resolve() for path in candidates(places(elsewhere, tmp_path))} == {real}


@pytest.mark.parametrize(
    "says",
    [
        "echo 'pyenv: python3.13: command not found' >&2; exit 127",
        "echo no json",
        """echo '["pypy", [3, 13, 0], "final", []]'""",
        """echo '["cpython", [3, 15, 0], "beta", []]'""",
    ],
)
def test_what_only_stands_in_for_a_python_is_passed_over(tmp_path: Path, says: str) -> None:
    assert ask(script(tmp_path / "python3", says)) is None
    assert ask(tmp_path / "missing") is None


def test_an_interpreter_says_what_it_is() -> None:
    python = ask(Path(sys.executable))
    assert python is not None
    assert (python.version, python.lacking) == (sys.version_info[:3], ())


def test_the_classifiers_name_every_version_from_the_required_one_on() -> None:
    named = minors_tested()
    first, last = named[0], named[-1]
    assert first == oldest_minor()
    assert named == [(first[0], minor) for minor in range(first[1], last[1] + 1)]
    assert sys.version_info[:2] in named, "the tests run on a version that pyproject.toml does not name"
