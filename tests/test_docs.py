"""The documents agree with the code: what they link to and name exists, and the code cites nothing else."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from oris.cli.group import oris

ROOT = Path(__file__).parents[1]
SOURCES = ROOT / "src" / "oris"
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
PROGRAMS = sorted(path for folder in ("src", "tests", "bench") for path in (ROOT / folder).rglob("*.py"))

LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
CITED = re.compile(r"docs/[\w/]+\.md(?:, \"([^\"]+)\")?")
NAMED_PATH = re.compile(r"`((?:src|tests|bench|docs|migrations|[a-z]+)/[\w./*-]*?(?:\.(?:py|md|sql)|/))`")
OUTSIDE = re.compile(
    "|".join(
        (r"\bDES" + r"IGN\b", "RELIA" + "BILITY", "SKE" + "TCH", "HAB" + "ITS", r"\bGU" + r"IDE\b", r"\bAPI" + r" \d")
    )
    + "|operations"
    + " guide"
)
"""Texts that are in no checkout of the project."""
CODE = re.compile(r"\b([IL]\d{1,2})\b")
INVARIANT = re.compile(r"^\| ([IL]\d+) \| .+ \| (.+) \|$", re.MULTILINE)


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def anchors(page: Path) -> set[str]:
    """The anchors of a page, as GitHub makes them."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in HEADING.findall(text)}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_link_of_a_page_leads_somewhere(page: Path) -> None:
    for link in LINK.findall(page.read_text()):
        if "://" in link:
            continue
        file, _, anchor = link.partition("#")
        target = (page.parent / file).resolve() if file else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_file_that_a_page_names_exists(page: Path) -> None:
    for named in NAMED_PATH.findall(page.read_text()):
        assert any(list(folder.glob(named.rstrip("/"))) for folder in (ROOT, SOURCES)), named


def test_every_page_of_the_docs_is_linked_from_the_readme() -> None:
    linked = {link.partition("#")[0] for link in LINK.findall((ROOT / "README.md").read_text())}
    assert {f"docs/{page.name}" for page in (ROOT / "docs").glob("*.md")} - linked == set()


def test_every_command_is_in_the_readme() -> None:
    told = set(re.findall(r"^\| `python -m oris (\w+)", (ROOT / "README.md").read_text(), re.MULTILINE))
    assert told == set(oris.commands)


def test_the_code_cites_pages_and_sections_that_exist() -> None:
    for path in PROGRAMS:
        for cited in CITED.finditer(path.read_text()):
            file, section = ROOT / cited.group().partition(",")[0], cited.group(1)
            assert file.exists(), (name_of(path), cited.group())
            assert section is None or re.search(rf"^#+ {section}\b", file.read_text(), re.MULTILINE), (path, section)


def outside(text: str) -> Iterator[str]:
    """Citations of texts that no reader of the project has."""
    yield from OUTSIDE.findall(text)


def test_nothing_cites_a_text_outside_the_project() -> None:
    found = {name_of(path): list(outside(path.read_text())) for path in (*PROGRAMS, *PAGES)}
    assert {path: cited for path, cited in found.items() if cited} == {}


@pytest.mark.parametrize("cited", ["(API" + " 3)", "RELIA" + "BILITY 3", "the operations" + " guide says"])
def test_a_planted_citation_is_found(cited: str) -> None:
    assert list(outside(f"Something ({cited})."))


def test_every_invariant_names_its_checkers_and_every_checker_is_named() -> None:
    """A checker names the code in its source. The page lists all of them in src, and tests where there is one."""
    page = dict(INVARIANT.findall((ROOT / "docs" / "invariants.md").read_text()))
    in_code: dict[str, set[str]] = {code: set() for code in page}
    for path in SOURCES.rglob("*.py"):
        for code in CODE.findall(path.read_text()):
            in_code.setdefault(code, set()).add(path.relative_to(SOURCES).as_posix())
    for code, files in in_code.items():
        told = set(re.findall(r"`([^`]+)`", page.get(code, "")))
        others = {file for file in told if file.startswith(("tests/", "bench/"))}
        assert told - others == files, (
            f"docs/invariants.md: the files of src/oris that check {code} are {sorted(files)}"
        )
        assert told, f"nothing checks {code}"
        for file in others:
            assert code in CODE.findall((ROOT / file).read_text()), (code, file)
