"""BAML at run time: a version's text becomes a runtime that writes the prompt and reads the answer.

Only BAML's language is used: `build_request` gives the messages, `parse_llm_response` reads what a model wrote. The
HTTP between them is ours (`provider/wire.py`), because BAML's client bounds neither the answer nor the time well.
No code is generated, so that a promoted version needs no build and no restart; `tests/ai/test_runtime.py` is the
contract with the pinned baml-py.
"""

import importlib
import json
import re
import threading
from collections import OrderedDict
from collections.abc import Mapping
from types import ModuleType
from typing import Any, Final

from chatcore.ai.prompts.versions import PromptVersion
from chatcore.errors import Invalid

CACHED_RUNTIMES: Final = 64
MAX_CONTENT_CHARACTERS: Final = 32_768
"""Longer answers are no answers to any of our prompts; BAML's forgiving reader is slow on nonsense of this size."""
Messages = list[dict[str, Any]]


class NotReadable(Exception):
    """What the model wrote does not fit the function's type. Holds nothing of it."""


class Runtimes:
    """Builds and keeps runtimes, at most CACHED_RUNTIMES."""

    def __init__(self) -> None:
        self._built: OrderedDict[str, Runtime] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, version: PromptVersion) -> "Runtime":
        """Raises Invalid where the text is not BAML or does not define the function. The first time for a thread: it
        imports BAML and compiles the text."""
        with self._lock:
            found = self._built.pop(version.version_id, None) or Runtime(version)
            self._built[version.version_id] = found
            while len(self._built) > CACHED_RUNTIMES:
                self._built.popitem(last=False)
            return found


class Runtime:
    """One version, ready to write prompts and to read answers."""

    def __init__(self, version: PromptVersion):
        baml = importlib.import_module("baml_py")
        native = importlib.import_module("baml_py.baml_py")
        native.set_log_level("OFF")  # at INFO it prints prompts and answers
        self._function = version.function
        if not takes_input(version.text, version.function):
            raise Invalid(f"the text defines no function {version.function}(input: string)", field="text")
        try:
            files = {"version.baml": version.text, "clients.baml": _stand_ins(version.text)}
            self._runtime = baml.BamlRuntime.from_files("prompts", files, {})
        except native.BamlError as error:
            raise Invalid(f"the text is not valid BAML: {_first_line(error)}", field="text") from None
        self._context = self._runtime.create_context_manager()
        self._clients = baml.ClientRegistry()  # what the text says of its client does not count
        options = {"base_url": "http://127.0.0.1", "model": "none", "api_key": "none"}
        self._clients.add_llm_client("Chatcore", "openai-generic", options)
        self._clients.set_primary("Chatcore")
        self._failure: type[Exception] = native.BamlError

    async def messages(self, told: Mapping[str, Any]) -> Messages:
        """The prompt as chat messages. `told` goes in as JSON in which no `<`, `>` or `&` is left, so nothing that
        people wrote can end the block it stands in."""
        request = await self._runtime.build_request(
            self._function, {"input": as_input(told)}, self._context, None, self._clients, {}, False
        )
        messages: Messages = json.loads(request.body.text())["messages"]
        return messages

    def read(self, content: str) -> dict[str, Any]:
        """What the model wrote, as the function's type. Raises NotReadable. For a thread."""
        if len(content) > MAX_CONTENT_CHARACTERS or not _holds_whole_object(content):
            raise NotReadable
        try:
            parsed = self._runtime.parse_llm_response(
                self._function, content, _ENUMS, _CLASSES, _CLASSES, False, self._context, None, self._clients, {}
            )
        except self._failure:
            raise NotReadable from None
        if not isinstance(parsed, dict) or not _is_about(content, parsed):
            raise NotReadable
        return parsed


def as_input(told: Mapping[str, Any]) -> str:
    """JSON in which nothing can end the block it stands in, nor be one of the marks at which BAML parts messages."""
    text = json.dumps(told, ensure_ascii=False, separators=(",", ":"), default=str)
    text = text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
    return text.replace("_MAGIC_STRING_", "\\u005fMAGIC_STRING_")


def takes_input(text: str, function: str) -> bool:
    signature = rf"^\s*function\s+{re.escape(function)}\s*\(\s*input\s*:?\s*string\s*\)"
    return re.search(signature, text, re.MULTILINE) is not None


def _stand_ins(text: str) -> str:
    """The clients that the text names and does not define: it must name one, and none of them is ever used."""
    named = set(re.findall(r"^\s*client\s+(\w+)\s*$", text, re.MULTILINE))
    defined = set(re.findall(r"^\s*client<llm>\s+(\w+)", text, re.MULTILINE))
    body = '{\n  provider openai-generic\n  options {\n    base_url "http://127.0.0.1"\n    model none\n  }\n}\n'
    return "".join(f"client<llm> {name} {body}" for name in sorted(named - defined))


class _Plain:
    """Stands in for the classes of generated code: a JSON object stays one."""

    @classmethod
    def model_validate(cls, value: dict[str, Any]) -> dict[str, Any]:
        return value


class _Classes(ModuleType):
    def __getattr__(self, name: str) -> type[_Plain]:
        return _Plain


class _Enums(ModuleType):
    def __getattr__(self, name: str) -> type[str]:
        return str


_CLASSES, _ENUMS = _Classes("classes"), _Enums("enums")


def _holds_whole_object(content: str) -> bool:
    """BAML reads an empty list where nothing is, and closes what was cut off; neither is an answer."""
    start = content.find("{")
    if start < 0:
        return False
    depth, in_string, escaped = 0, False, False
    for sign in content[start:]:
        if in_string:
            in_string, escaped = (escaped or sign != '"'), (sign == "\\" and not escaped)
        elif sign == '"':
            in_string = True
        elif sign == "{":
            depth += 1
        elif sign == "}":
            depth -= 1
            if depth == 0:
                return True
    return False


def _is_about(content: str, parsed: dict[str, Any]) -> bool:
    """BAML fills in a list that is missing, so an object of another kind would read as an answer without entries."""
    try:
        told, _ = json.JSONDecoder().raw_decode(content[content.index("{") :])
    except (ValueError, RecursionError):
        return True  # nearly JSON, which BAML reads and we cannot
    return any(name in told for name in parsed)


def _first_line(error: Exception) -> str:
    return re.sub(r"\x1b\[[0-9;]*m", "", str(error)).strip().splitlines()[0][:300]
