"""What the OpenAPI document tells people and generators: names, descriptions, examples, forms of bodies."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Annotated, Any, Literal

import pytest
from jsonschema import Draft202012Validator
from msgspec import Meta, Struct

from oris.api import strict_json
from oris.api.handlers import server
from oris.api.http import AnswerForm, Route, RouteTable
from oris.api.limits import HttpLimits
from oris.api.openapi.document import openapi_document
from oris.api.openapi.examples import EXAMPLES
from oris.api.openapi.rules import FORMS
from oris.api.openapi.schemas import Schemas
from oris.api.openapi.words import OPERATIONS, TAGS
from oris.api.services import ApiBounds
from oris.wire.workers import AckRequest

from ..contract import TABLE, document, problems

BODIES = [route for route in TABLE.routes if route.body is not None]
IDS = [
    *("ack", "cancel_job", "clear_hold", "clear_quarantine", "create_api_key", "explain_job", "export_timeline"),
    *("extend_lease", "get_attempt", "get_capabilities", "get_checkpoint", "get_dead_letter", "get_health"),
    *("get_interrupt", "get_job", "get_job_detail", "get_metrics", "get_openapi", "get_readiness", "get_result"),
    *("get_run", "get_status", "get_timeline", "get_worker", "heartbeat", "interrupt", "list_api_keys"),
    *("list_audit_records", "list_checkpoints", "list_dead_letters", "list_interrupts", "list_jobs"),
    *("list_retries", "list_runs", "list_steps", "list_workers", "listen_to_events", "poll", "reject_interrupt"),
    *("release", "replay_dead_letter", "replay_job", "report_step", "resume_interrupt", "resume_job"),
    *("revoke_api_key", "run_job", "set_mode", "submit_batch", "submit_job", "suspend", "verify_timeline"),
]
"""Generated clients name their functions so: this is API, and written a second time on purpose."""


def nodes(node: Any, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every object of the document, with its path."""
    if isinstance(node, dict):
        yield path, node
        for name, inner in node.items():
            yield from nodes(inner, f"{path}/{name}")
    elif isinstance(node, list):
        for place, inner in enumerate(node):
            yield from nodes(inner, f"{path}/{place}")


def test_every_operation_is_named_and_told() -> None:
    found = [operation for methods in document()["paths"].values() for operation in methods.values()]
    assert sorted(operation["operationId"] for operation in found) == IDS
    for operation in found:
        assert operation["summary"][-1] not in ".?!"
        assert len(operation["summary"]) < 50
        assert operation["description"].endswith(".")
        (tag,) = operation["tags"]
        assert tag in TAGS
    assert [tag["name"] for tag in document()["tags"]] == list(TAGS)


def test_no_operation_is_told_that_is_not_there() -> None:
    assert set(OPERATIONS) == {f"{route.method} {route.path}" for route in TABLE.routes}


def test_a_route_of_which_nothing_is_told_cannot_be_documented() -> None:
    route = Route("GET", "/v1/new", server.healthz, None, AnswerForm(None, media_type="text/plain"))
    with pytest.raises(ValueError, match=r"say in oris\.api\.openapi\.words what GET /v1/new does"):
        openapi_document(RouteTable([route]), ApiBounds(), HttpLimits())


def _is_described(schema: dict[str, Any]) -> bool:
    """By its own words, or by those of the component that it is."""
    name = schema.get("$ref", "").rpartition("/")[2]
    return bool(schema.get("description") or document()["components"]["schemas"].get(name, {}).get("description"))


def test_every_field_and_parameter_is_described() -> None:
    bare = []
    for path, node in nodes(document()):
        if node.get("type") == "object" and "/examples" not in path:
            fields = node.get("properties", {})
            bare += [f"{path}: {name}" for name, field in fields.items() if not _is_described(field)]
        if "in" in node and "name" in node and not node.get("description"):
            bare.append(path)
    assert bare == []


def test_every_component_is_described() -> None:
    schemas = document()["components"]["schemas"]
    answers = {name for name in schemas if name.endswith("Response")}
    assert [name for name, schema in schemas.items() if name not in answers and not schema.get("description")] == []


def test_every_enum_is_a_component_with_its_name() -> None:
    enums = {path: node for path, node in nodes(document()) if isinstance(node.get("enum"), list)}
    several = {path for path, node in enums.items() if len(node["enum"]) > 1}
    titled = {f"/components/schemas/{node['title']}" for node in enums.values() if "title" in node}
    assert several == titled
    assert {"RunStatus", "TerminalStatus", "StepStatus", "ConflictReason"} <= {
        path.rpartition("/")[2] for path in titled
    }


def test_one_name_cannot_stand_for_two_enums() -> None:
    class One(Struct):
        """A word."""

        word: Annotated[Literal["a", "b"], Meta(title="Word")]

    class Other(Struct):
        """Another."""

        word: Annotated[Literal["a", "c"], Meta(title="Word")]

    schemas = Schemas({}, {}, {})
    schemas.of(One)
    schemas.of(One)
    with pytest.raises(ValueError, match="two enums Word"):
        schemas.of(Other)


def test_no_object_with_fields_is_a_choice_too() -> None:
    """Generators take such a schema for a choice alone, and lose its fields."""
    both = [
        path
        for path, node in nodes(document())
        if "properties" in node and node.keys() & {"oneOf", "anyOf", "allOf"} and "/examples" not in path
    ]
    assert both == []


def _validator(schema: dict[str, Any]) -> Draft202012Validator:
    return Draft202012Validator({**schema, "components": document()["components"]})


@pytest.mark.parametrize("route", BODIES, ids=lambda route: route.path)
def test_the_examples_of_a_body_are_what_the_server_takes(route: Route) -> None:
    content = document()["paths"][route.path]["post"]["requestBody"]["content"]["application/json"]
    assert route.body is not None
    assert len(content["examples"]) == len(EXAMPLES[route.body]) > 0
    decoder = strict_json.decoder(route.body)
    for example in content["examples"].values():
        assert strict_json.decode(json.dumps(example["value"]).encode(), decoder.decoder) is not None
        assert list(_validator(content["schema"]).iter_errors(example["value"])) == []
        assert example["summary"]


@pytest.mark.parametrize("struct", FORMS, ids=lambda struct: struct.__name__)
def test_each_form_of_a_body_has_an_example_and_each_example_one_form(struct: type[Struct]) -> None:
    schemas = document()["components"]["schemas"]
    fitting = [
        [form.name for form in FORMS[struct] if _validator(schemas[form.name]).is_valid(value)]
        for value in EXAMPLES[struct].values()
    ]
    assert {len(names) for names in fitting} == {1}
    assert {name for names in fitting for name in names} == {form.name for form in FORMS[struct]}


def test_the_forms_of_an_ack_have_all_of_its_fields_and_no_other() -> None:
    schemas = document()["components"]["schemas"]
    one, many = schemas["Ack"], schemas["AckList"]
    assert set(one["properties"]) | set(many["properties"]) == set(AckRequest.__struct_encode_fields__)
    assert set(one["properties"]) & set(many["properties"]) == {"poll"}
    assert one["required"] == ["attempt_id", "lease_id", "terminal_status"]
    assert many["required"] == ["acks"]
    assert one["properties"]["attempt_id"]["type"] == "string"


@pytest.mark.parametrize("name", [form.name for forms in FORMS.values() for form in forms])
def test_each_form_says_that_fields_of_the_other_may_be_null(name: str) -> None:
    assert document()["components"]["schemas"][name]["description"].endswith("other form when they are null.")


def test_a_step_and_a_list_of_steps_are_of_one_attempt() -> None:
    schemas = document()["components"]["schemas"]
    one, many = schemas["StepReport"], schemas["StepReportList"]
    assert set(one["properties"]) & set(many["properties"]) == {"attempt_id", "lease_id"}
    assert one["required"] == ["attempt_id", "lease_id", "action_id", "status", "dedupe_token"]
    assert many["required"] == ["attempt_id", "lease_id", "steps"]


def test_the_document_says_where_the_server_is_and_how_keys_go() -> None:
    whole = document()
    assert whole["servers"] == [{"url": "/", "description": "The server that this document comes from."}]
    assert whole["info"]["license"] == {"name": "Apache-2.0", "identifier": "Apache-2.0"}
    assert "<key_id>.<secret>" in whole["components"]["securitySchemes"]["bearer"]["description"]


def test_a_reason_that_a_route_does_not_have_is_a_difference() -> None:
    def refusal(reason: str) -> Any:
        return {"request_id": "r", "error": {"code": "conflict", "message": "m", "details": {"reason": reason}}}

    assert problems("POST", "/v1/jobs", 409, refusal("run_active")) == []
    (found,) = problems("POST", "/v1/jobs", 409, refusal("lease_lost"))
    assert "the reason lease_lost is not among" in found
