"""The settings as people, programs and the documentation see them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from oris.config import FIELDS, Settings, load
from oris.config.printing import as_json, as_markdown, as_text

REFERENCE_PAGE = Path(__file__).parents[2] / "docs" / "configuration.md"
SECRETS = {"ORIS_API_AUTH_BEARER_TOKEN": "hunter2", "ORIS_API_AUTH_API_KEY": "hunter3"}


@pytest.fixture(autouse=True)
def _in_an_empty_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_the_reference_page_is_what_the_table_says() -> None:
    """`python -m oris config --markdown > docs/configuration.md` writes it."""
    assert REFERENCE_PAGE.read_text() == as_markdown()


def test_every_setting_is_on_each_of_them() -> None:
    loaded = load({}, {}, None)
    document = json.loads(as_json(loaded))
    assert list(document) == [field.env for field in FIELDS]
    for field in FIELDS:
        assert f"{field.env} " in as_text(loaded)
        assert field.doc in as_text(loaded)
        assert f"| `{field.env}` | `{field.flag}` | `{field.name}` |" in as_markdown()


def test_a_secret_is_hidden_and_its_source_is_not() -> None:
    loaded = load({}, SECRETS, None)
    assert "hunter" not in as_text(loaded) + as_json(loaded)
    entry = json.loads(as_json(loaded))["ORIS_API_AUTH_BEARER_TOKEN"]
    assert (entry["value"], entry["source"]) == ("(hidden)", "environment ORIS_API_AUTH_BEARER_TOKEN")


def test_the_text_tells_value_source_unit_and_default() -> None:
    text = as_text(load({}, {"ORIS_WAIT_MAX_MS": "1000"}, None))
    assert "1000  [environment ORIS_WAIT_MAX_MS]" in text
    assert "(ms, default 55000)" in text
    assert "(not set)  [default]" in text


def test_programs_get_numbers_booleans_and_null() -> None:
    document = json.loads(as_json(load({}, {"ORIS_WAIT_MAX_MS": "1000"}, None)))
    assert document["ORIS_WAIT_MAX_MS"] == {
        "value": 1000,
        "source": "environment ORIS_WAIT_MAX_MS",
        "default": 55000,
        "unit": "ms",
        "doc": document["ORIS_WAIT_MAX_MS"]["doc"],
    }
    assert document["ORIS_ALLOW_INSECURE"]["value"] is False
    assert document["ORIS_METRICS_ADDR"]["value"] is None


def test_a_name_that_ends_in_a_unit_is_declared_with_it() -> None:
    units = {"_ms": "ms", "_bytes": "bytes", "_seconds": "s"}
    for field in FIELDS:
        for ending, unit in units.items():
            assert not field.name.endswith(ending) or field.unit == unit
        assert field.unit or field.kind.in_file is not int


def test_the_declared_type_of_each_field_is_that_of_its_default() -> None:
    settings = Settings()
    for field in FIELDS:
        value = getattr(settings, field.name)
        assert (value is None) == (field.default is None)
        assert value is None or str(Settings.__annotations__[field.name]) == type(value).__name__.replace(
            "PosixPath", "Path"
        )
