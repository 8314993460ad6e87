"""Each reason of a refusal has a page in the docs, and each page a reason."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args, get_type_hints

import pytest

from oris.errors import BackpressureReason, ConflictReason, ForbiddenReason, UnavailableReason
from oris.wire.refusals import ConflictDetails, InternalDetails, UnavailableDetails

PAGES = Path(__file__).parents[2] / "docs" / "errors"
REASONS = {
    **dict.fromkeys(get_args(ForbiddenReason), "403 forbidden"),
    **dict.fromkeys(get_args(ConflictReason), "409 conflict"),
    **dict.fromkeys(get_args(BackpressureReason), "429 backpressure"),
    **dict.fromkeys(get_args(UnavailableReason), "503 unavailable"),
    **dict.fromkeys(get_args(get_type_hints(InternalDetails)["reason"]), "500 internal"),
}
DETAILS = {
    name
    for details in (ConflictDetails, UnavailableDetails, InternalDetails)
    for name in details.__struct_fields__
    if name != "reason"
}


def test_there_is_a_page_for_each_reason_and_no_other() -> None:
    assert {page.stem for page in PAGES.glob("*.md")} == {*REASONS, "README"}


@pytest.mark.parametrize("reason", REASONS)
def test_a_page_names_its_status_and_only_details_that_there_are(reason: str) -> None:
    text = (PAGES / f"{reason}.md").read_text()
    assert text.startswith(f"# {reason}\n\n`{REASONS[reason]}`\n\n**When.** ")
    assert "**What to do.** " in text
    assert {name for name in re.findall(r"^- `(\w+)`: ", text, re.MULTILINE)} <= DETAILS


def test_the_index_leads_to_all_of_them_and_the_api_to_the_index() -> None:
    assert set(re.findall(r"\]\((\w+)\.md\)", (PAGES / "README.md").read_text())) == {*REASONS}
    assert "(errors/README.md)" in (PAGES.parent / "api.md").read_text()
