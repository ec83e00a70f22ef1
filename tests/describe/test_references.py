"""OpenAPI, AsyncAPI and the shapes are valid, complete, and their examples fit."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

from chatcore.api import BY_EVENT, COMMANDS, EVENTS
from chatcore.contract.messages import LogEvent
from chatcore.describe.asyncapi import ERROR_EVENTS, asyncapi
from chatcore.describe.examples import Examples
from chatcore.describe.openapi import openapi
from chatcore.describe.shapes import definitions, replies, requests
from chatcore.describe.words import EVENT_WORDS, FIELDS, VOLATILE
from chatcore.errors import catalogue

OPENAPI, ASYNCAPI, SHAPES = openapi(), asyncapi(), definitions()
OPERATIONS = [
    pytest.param(operation, id=f"{method} {path}")
    for path, methods in OPENAPI["paths"].items()
    for method, operation in methods.items()
]


def resolve(document: dict[str, Any], reference: str) -> Any:
    found: Any = document
    for part in reference.removeprefix("#/").split("/"):
        found = found[part.replace("~1", "/").replace("~0", "~")]
    return found


def references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for value in node.values():
            yield from references(value)
    elif isinstance(node, list):
        for value in node:
            yield from references(value)


def fits(document: dict[str, Any], schema: dict[str, Any], value: object) -> None:
    validator = Draft202012Validator(
        {**schema, "components": document["components"]}, format_checker=Draft202012Validator.FORMAT_CHECKER
    )
    validator.validate(value)


def test_the_http_reference_is_valid_openapi() -> None:
    OpenAPIV31SpecValidator(OPENAPI).validate()


@pytest.mark.parametrize("document", [OPENAPI, ASYNCAPI, {"$defs": SHAPES}], ids=["openapi", "asyncapi", "schema"])
def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    found = set(references(document))
    assert found
    for reference in found:
        resolve(document, reference)


def test_no_two_paths_differ_only_in_the_names_of_their_parameters() -> None:
    forms = [re.sub(r"\{\w+\}", "{}", path) for path in OPENAPI["paths"]]
    assert sorted(forms) == sorted(set(forms))


@pytest.mark.parametrize("operation", OPERATIONS)
def test_path_parameters_are_those_of_the_path(operation: dict[str, Any]) -> None:
    (path,) = (path for path, methods in OPENAPI["paths"].items() if operation in methods.values())
    declared = [parameter["name"] for parameter in operation.get("parameters", []) if parameter["in"] == "path"]
    assert re.findall(r"\{(\w+)\}", path) == declared


@pytest.mark.parametrize("operation", OPERATIONS)
def test_examples_of_an_operation_fit_its_schemas(operation: dict[str, Any]) -> None:
    answers = [
        resolve(OPENAPI, answer["$ref"]) if "$ref" in answer else answer for answer in operation["responses"].values()
    ]
    for part in [operation.get("requestBody", {}), *answers]:
        for content in part.get("content", {}).values():
            values = [shown["value"] for shown in content.get("examples", {}).values()]
            for value in values + ([content["example"]] if "example" in content else []):
                fits(OPENAPI, content["schema"], value)
    for parameter in operation.get("parameters", []):
        if "example" in parameter:
            fits(OPENAPI, parameter["schema"], parameter["example"])


def test_every_field_of_a_request_is_sent_in_exactly_one_place() -> None:
    described = {operation.values[0]["operationId"]: operation.values[0] for operation in OPERATIONS}  # type: ignore[union-attr]
    for command in COMMANDS:
        if command.rest is None:
            continue
        operation = described[command.name]
        body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
        in_body = set(resolve(OPENAPI, body["$ref"]).get("properties", {})) if body else set()
        in_path = set(re.findall(r"\{(\w+)\}", command.rest.path))
        in_query = {place["name"] for place in operation.get("parameters", []) if place["in"] == "query"}
        assert in_body | in_path | in_query == set(SHAPES[command.request.__name__].get("properties", {})), command.name
        assert len(in_body) + len(in_path) + len(in_query) == len(in_body | in_path | in_query), command.name


@pytest.mark.parametrize("shape", [*requests(), *replies()], ids=lambda shape: shape.__name__)
def test_the_example_of_a_shape_is_taken_by_the_shape_itself(shape: Any) -> None:
    example = Examples(SHAPES).of(shape.__name__)
    Draft202012Validator({"$ref": f"#/$defs/{shape.__name__}", "$defs": SHAPES}).validate(example)
    assert shape.model_validate(example, by_alias=True, by_name=False)


def test_patterns_are_of_the_dialect_that_browsers_read() -> None:
    patterns = re.findall(r"'pattern': '([^']+)'", str(SHAPES))
    assert patterns
    assert not [pattern for pattern in patterns if r"\z" in pattern or r"\\Z" in pattern]


def test_a_field_left_out_when_it_is_none_is_optional_and_never_null() -> None:
    message = SHAPES["Message"]
    assert "replyTo" not in message["required"]
    assert message["properties"]["replyTo"]["type"] == "string"
    assert "isDeleted" in message["required"]


def test_requests_are_closed_and_replies_open() -> None:
    for shape in requests():
        assert SHAPES[shape.__name__]["additionalProperties"] is False
    for shape in set(replies()) - set(requests()) - {LogEvent}:
        assert "additionalProperties" not in SHAPES[shape.__name__]


def test_every_code_of_the_catalogue_is_explained_in_both_references() -> None:
    assert OPENAPI["x-error-codes"].keys() == ASYNCAPI["x-error-codes"].keys() == catalogue().keys()


def test_every_socket_event_is_an_operation_in_its_direction() -> None:
    received = {name for name, operation in ASYNCAPI["operations"].items() if operation["action"] == "receive"}
    sent = ASYNCAPI["operations"].keys() - received
    assert received == {"authenticate", *BY_EVENT}
    assert sent == {*EVENTS, *ERROR_EVENTS, *(command.reply_event for command in COMMANDS if command.reply_event)}


def test_every_command_over_the_socket_answers_with_its_ack_or_a_refusal() -> None:
    for event in BY_EVENT:
        answers = [answer["$ref"].rsplit("/", 1)[1] for answer in ASYNCAPI["operations"][event]["reply"]["messages"]]
        assert answers == [f"{event}.ack", "refused"]


@pytest.mark.parametrize("name", ASYNCAPI["components"]["messages"])
def test_examples_of_a_message_fit_its_payload(name: str) -> None:
    message = ASYNCAPI["components"]["messages"][name]
    assert message["examples"]
    for example in message["examples"]:
        fits(ASYNCAPI, message["payload"], example["payload"])


def test_words_are_kept_only_for_what_there_is() -> None:
    assert EVENT_WORDS.keys() == EVENTS.keys()
    assert EVENTS.keys() >= VOLATILE
    assert [name for name in FIELDS if name not in str(SHAPES)] == []
