"""Which prompt version a notebook is about: what is live, one by its id, or one with other parameters."""

import asyncio
import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from pydantic import BaseModel, ValidationError

from chatcore.ai.prompts.shipped import shipped
from chatcore.ai.prompts.versions import PromptVersion, make_version
from chatcore.lab.admin import LinkLost, prompt_version
from chatcore.lab.loops import run_apart
from chatcore.lab.pages import preview
from chatcore.lab.surroundings import ChatError, settings
from chatcore.models import shapes

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["LIVE", "PromptVersion", "VersionNotFound", "find_version", "named", "parameters_of"]

LIVE: Final = "live"
ASK_SECONDS: Final = 30.0
PARAMETERS: Final[Mapping[str, type[BaseModel]]] = {
    "SmartReplies": shapes.ReplyParameters,
    "CompleteTyping": shapes.CompletionParameters,
    "ModerateMessage": shapes.ModerationParameters,
    "SummarizeConversation": shapes.SummaryParameters,
    "ExtractTopics": shapes.TopicParameters,
    "AnswerFromMessages": shapes.AnswerParameters,
}
OF_ANY_MODEL: Final = frozenset({"temperature", "max_output_tokens"})


class VersionNotFound(Exception):
    """There is no such version, or nobody to ask about it; the message says what to do."""


def find_version(function: str, given: str = LIVE) -> PromptVersion:
    """`given` is "live", a version's id or the beginning of one, or a JSON object of parameters to try on the live one.

    With CHATCORE_TOKEN the server at CHATCORE_URL is asked what is live; without, it is what this release ships.
    Changed parameters make another version, with the id that the server will give it once it is added there.
    Raises VersionNotFound, and ValueError for a parameter that nothing would read.
    """
    if function not in shipped():
        raise VersionNotFound(f'there is no function "{function}"; there are {", ".join(sorted(shipped()))}')
    if given.lstrip().startswith("{"):
        live = find_version(function)
        return make_version(function, live.text, {**live.parameters, **_parameters(function, given)})
    if not settings().chatcore_token.get_secret_value():
        if given in (LIVE, shipped()[function].version_id):
            return replace(shipped()[function], state="live")
        raise VersionNotFound(
            f"{preview(given, 80)} is kept by a server: set CHATCORE_URL and an analyst's or operator's CHATCORE_TOKEN"
        )
    return _asked(function, function if given == LIVE else given)


def named(version: PromptVersion) -> str:
    """Short, for tables: the beginning of the hash and what its parameters are.

    >>> named(make_version("SmartReplies", "", {"context_turns": 1}))
    'SmartReplies@909c699c context_turns=1'
    """
    told = " ".join(f"{name}={json.dumps(value)}" for name, value in version.parameters.items())
    return f"{version.function}@{version.sha256[:8]} {told}".strip()


def parameters_of(**versions: PromptVersion) -> "pd.DataFrame":
    """A row for each parameter, a column for each version: what it says, or in brackets what holds without it.

    The first row is the prompt's text, by the beginning of its hash.
    """
    import pandas as pd  # noqa: PLC0415 - it takes a second to load

    columns = {name: _said(version) for name, version in versions.items()}
    rows = list(dict.fromkeys(row for column in columns.values() for row in column))
    said = {name: [column.get(row, "") for row in rows] for name, column in columns.items()}
    return pd.DataFrame({"parameter": rows, **said})


def _said(version: PromptVersion) -> dict[str, str]:
    text = hashlib.sha256(version.text.encode()).hexdigest()[:8]
    shape = PARAMETERS.get(version.function)
    defaults = dict(_flat(shape().model_dump())) if shape else {}
    told = {name: json.dumps(value) for name, value in _flat(dict(version.parameters))}
    return {"text": text} | {name: f"({json.dumps(value)})" for name, value in defaults.items()} | told


def _flat(values: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, dict) and value:
            yield from _flat(value, f"{path}{name}.")
        else:
            yield f"{path}{name}", value


def _asked(function: str, name: str) -> PromptVersion:
    """From the server, and what it says must be what its id says."""
    try:
        told = run_apart(asyncio.wait_for(prompt_version(name), ASK_SECONDS))
    except ChatError as refused:
        raise VersionNotFound(f"the server has no {preview(name, 80)} for this token: {refused.message}") from None
    except (LinkLost, TimeoutError) as lost:
        raise VersionNotFound(f"the server at CHATCORE_URL does not answer: {lost}") from None
    found = make_version(told["function"], told["text"], told["parameters"], origin=told["origin"])
    if found.version_id != told["versionId"] or found.function != function:
        raise VersionNotFound(f"what the server sent for {preview(name, 80)} is not that version of {function}")
    return replace(found, state=told["state"], share=told.get("share") or 0.0)


def _parameters(function: str, given: str) -> dict[str, Any]:
    try:
        told = json.loads(given)
    except ValueError:
        raise ValueError(f"parameters are one JSON object, and this is none: {preview(given, 80)}") from None
    shape = PARAMETERS.get(function)
    if unknown := sorted(set(_names(told)) - set(_known(shape)) - OF_ANY_MODEL):
        known = ", ".join(sorted({*_known(shape), *OF_ANY_MODEL}))
        raise ValueError(f"nothing reads {', '.join(unknown)}; {function} has {known}")
    try:
        if shape is not None:
            shape.model_validate(told)
    except ValidationError as wrong:
        first = wrong.errors()[0]
        raise ValueError(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from None
    return dict(told)


def _names(told: Mapping[str, Any]) -> Iterator[str]:
    for name, value in told.items():
        yield name
        if isinstance(value, dict) and name == "ranking_weights":
            yield from (f"{name}.{inner}" for inner in value)


def _known(shape: type[BaseModel] | None) -> Iterator[str]:
    for name, field in (shape.model_fields if shape else {}).items():
        yield name
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from (f"{name}.{inner}" for inner in field.annotation.model_fields)
