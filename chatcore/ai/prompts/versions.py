"""A prompt version: the BAML text of one function with its parameters, named by their hash."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

State = Literal["draft", "shadow", "canary", "live", "retired"]
Origin = Literal["shipped", "added"]


@dataclass(frozen=True, slots=True)
class PromptVersion:
    """`version_id` is `<Function>@<sha256>`. `text` is BAML with all that the function refers to; `parameters` are
    sent to the endpoint inside the input, as JSON."""

    version_id: str
    function: str
    text: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    state: State = "draft"
    origin: Origin = "shipped"
    share: float = 0.0

    @property
    def sha256(self) -> str:
        return self.version_id.partition("@")[2]


@dataclass(frozen=True, slots=True)
class Choice:
    """Which version answers this person. `arm` is `live` or `canary`; `shadows` run beside it and are never shown."""

    version: PromptVersion
    arm: str
    shadows: tuple[PromptVersion, ...] = ()


def make_version(function: str, text: str, parameters: Mapping[str, Any], *, origin: Origin = "added") -> PromptVersion:
    """The same text and parameters always get the same name, whatever the order of the parameters."""
    content = json.dumps([function, text, parameters], sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    digest = hashlib.sha256(content.encode()).hexdigest()
    return PromptVersion(f"{function}@{digest}", function, text, dict(parameters), origin=origin)
