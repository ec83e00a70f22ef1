"""The BAML files by their own tests, run as anybody would run them: `baml-cli test` against an endpoint."""

import asyncio
import os
import re
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from chatcore.embedded.models import EmbeddedModels
from chatcore.models.tasks import NOT_OFFLINE, TASKS

ROOT = Path(__file__).parents[3]
BAML = ROOT / "baml_src"
FUNCTION = re.compile(r"^function (\w+)\(input: string\)", re.MULTILINE)
TESTED = re.compile(r"^\s*functions \[(\w+)\]", re.MULTILINE)
FUNCTIONS = {name for file in BAML.glob("*.baml") for name in FUNCTION.findall(file.read_text())}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def endpoint(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[EmbeddedModels]:
    models = EmbeddedModels(tmp_path_factory.mktemp("models"))
    await models.start()
    assert await models.wait_ready(60)
    yield models
    await models.stop()


async def baml_cli(*words: str, url: str, key: str, source: Path = BAML) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        Path(sys.executable).with_name("baml-cli"),
        *words,
        "--from",
        source,
        env={"OPENAI_BASE_URL": url, "OPENAI_API_KEY": key, "AI_MODEL": "chatcore-tasks", "BAML_LOG": "warn"},
        cwd=source.parent,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    written, _ = await asyncio.wait_for(process.communicate(), 100)
    return process.returncode or 0, written.decode(errors="replace")


def test_every_task_of_the_endpoint_is_a_function_and_every_function_a_task() -> None:
    assert set(TASKS) | set(NOT_OFFLINE) == FUNCTIONS


def test_every_function_has_tests_of_its_own() -> None:
    tested = {name for file in BAML.glob("*.baml") for name in TESTED.findall(file.read_text())}
    assert tested == FUNCTIONS


def test_every_file_stands_alone_but_for_its_client() -> None:
    """So that a prompt version is the text of one file."""
    for file in BAML.glob("*.baml"):
        text = file.read_text()
        for function in FUNCTION.findall(text):
            assert len(FUNCTION.findall(text)) == 1, file.name
            assert f"client {function}Client" in text
            assert f'"x-chatcore-task" "{function}"' in (BAML / "clients.baml").read_text()


@pytest.mark.skipif(os.name == "nt", reason="baml-cli stands elsewhere there")
@pytest.mark.asyncio(loop_scope="module")
class TestAgainstTheEmbeddedEndpoint:
    async def test_all_tests_pass_that_need_no_provider(self, endpoint: EmbeddedModels) -> None:
        assert endpoint.url is not None
        status, written = await baml_cli(
            "test", "--exclude", "::needs_a_provider*", url=endpoint.url, key=endpoint.token
        )
        assert status == 0, written
        assert "21 ✅" in written, written

    async def test_what_needs_a_provider_fails_and_invents_nothing(self, endpoint: EmbeddedModels) -> None:
        assert endpoint.url is not None
        status, written = await baml_cli(
            "test", "--include", "::needs_a_provider*", url=endpoint.url, key=endpoint.token
        )
        assert status != 0
        assert "501" in written, written
