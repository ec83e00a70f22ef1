"""The embedded model endpoint: `python -m chatcore.models.server --port N --token-file FILE`.

It listens at once, on loopback alone, and answers 503 until the models are loaded; loading and every model run on a
thread of their own. Only callers with the token of the file are served.
"""

import argparse
import asyncio
import contextlib
import hmac
import json
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

from aiohttp import web
from pydantic import BaseModel

from chatcore.models.files import ModelFileRefused
from chatcore.models.loaded import Models, Turnstile, Urgency
from chatcore.models.moderation import Verdict
from chatcore.models.refusals import BadRequest, NoSuchModel, NotAllowed, Refused, StillLoading
from chatcore.models.tasks import Task, find_task, read_input
from chatcore.models.wire import (
    MODELS,
    ChatRequest,
    EmbeddingsRequest,
    ModerationsRequest,
    chat_answer,
    chat_chunks,
    embeddings_answer,
    models_answer,
    moderations_answer,
    read_request,
    usage_of,
)

MAX_BODY_BYTES = 8 * 1024 * 1024
AUTOGROUP = Path("/proc/self/autogroup")
NICENESS = 5  # where cores are short, people's messages go before what is thought about them
FEW = 4  # so many texts of a request go before bulk work
TASK_HEADER = "x-chatcore-task"
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Endpoint:
    """Holds the models once they are there."""

    def __init__(self, token: str, models: Models | None = None):
        if not token:
            raise ValueError("the token is empty")
        self._token, self._models = token.encode(), models
        self.turnstile = Turnstile()

    def make_app(self) -> web.Application:
        app = web.Application(middlewares=[self._guard], client_max_size=MAX_BODY_BYTES)
        app.router.add_get("/health", self.health)
        app.router.add_get("/v1/models", self.list_models)
        app.router.add_post("/v1/embeddings", self.embed)
        app.router.add_post("/v1/moderations", self.moderate)
        app.router.add_post("/v1/chat/completions", self.chat)
        return app

    async def load(self) -> None:
        """Raises ModelFileRefused."""
        self._models = await asyncio.to_thread(Models.load)

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Every refusal leaves in OpenAI's form; nobody without the token learns anything."""
        try:
            given = request.headers.get("Authorization", "").encode("utf-8", "surrogateescape")
            if not hmac.compare_digest(given, b"Bearer " + self._token):
                raise NotAllowed("the key is missing or wrong")
            return await handler(request)
        except Refused as refused:
            headers = {"Retry-After": "1"} if refused.status in {429, 503} else None
            return web.json_response(refused.payload(), status=refused.status, headers=headers)
        except web.HTTPException as refused:
            told = BadRequest(refused.reason).payload()
            return web.json_response(told, status=refused.status)

    async def health(self, _: web.Request) -> web.Response:
        self._require_models()
        return web.json_response({"status": "ready"})

    async def list_models(self, _: web.Request) -> web.Response:
        return web.json_response(models_answer())

    async def embed(self, request: web.Request) -> web.Response:
        asked = read_request(EmbeddingsRequest, await request.read())
        _require_known(asked.model)
        models, texts = self._require_models(), asked.texts
        urgency = Urgency.NOW if len(texts) <= FEW else Urgency.LATER
        embedded = [await self.turnstile.run(urgency, partial(models.embedder.embed_one, text)) for text in texts]
        vectors, tokens = [vector for vector, _ in embedded], sum(count for _, count in embedded)
        return _json(embeddings_answer(vectors, tokens, asked.encoding_format))

    async def moderate(self, request: web.Request) -> web.Response:
        asked = read_request(ModerationsRequest, await request.read())
        models, texts = self._require_models(), asked.texts
        urgency = Urgency.NOW if len(texts) == 1 else Urgency.SOON
        judge = partial(_judge, models)
        return _json(moderations_answer([await self.turnstile.run(urgency, partial(judge, text)) for text in texts]))

    async def chat(self, request: web.Request) -> web.StreamResponse:
        task = find_task(request.headers.get(TASK_HEADER, ""))
        asked = read_request(ChatRequest, await request.read())
        _require_known(asked.model)
        models = self._require_models()
        told = read_input(task, asked.last_user_message)
        prompt = "\n".join(message.text for message in asked.messages)
        content, usage = await self.turnstile.run(Urgency.NOW, partial(_answer, models, task, told, prompt))
        if not asked.stream:
            return _json(chat_answer(content, usage))
        wants_usage = asked.stream_options is not None and asked.stream_options.include_usage
        return await _stream(request, content, usage if wants_usage else None)

    def _require_models(self) -> Models:
        if self._models is None:
            raise StillLoading("the models are being loaded; try again in a second")
        return self._models


async def serve(port: int, token: str, *, stop: asyncio.Event) -> None:
    """Until `stop` is set. Raises OSError for a taken port, ModelFileRefused for files that are not ours."""
    endpoint = Endpoint(token)
    runner = web.AppRunner(endpoint.make_app(), access_log=None)
    await runner.setup()
    worker = asyncio.create_task(endpoint.turnstile.serve())
    try:
        await web.TCPSite(runner, "127.0.0.1", port).start()
        await endpoint.load()
        await stop.wait()
    finally:
        worker.cancel()
        await runner.cleanup()
        await asyncio.gather(worker, return_exceptions=True)


def main() -> None:
    give_way()
    parser = argparse.ArgumentParser(prog="python -m chatcore.models.server")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--token-file", type=Path, required=True, help="readable by the owner alone")
    options = parser.parse_args()
    try:
        asyncio.run(_run(options.port, options.token_file.read_text("utf-8").strip()))
    except (ModelFileRefused, OSError) as error:
        sys.exit(f"the model endpoint cannot serve: {error}")


def give_way() -> None:
    """To whatever else this machine does. Where Linux schedules by sessions, as desktops and many servers do, a
    process's own niceness counts only within its session, and the session's decides."""
    os.nice(NICENESS)
    if os.getsid(0) == os.getpid():  # a session of our own, not somebody's terminal
        with contextlib.suppress(OSError):
            AUTOGROUP.write_text(str(NICENESS), "ascii")


async def _run(port: int, token: str) -> None:
    stop = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, stop.set)
    await serve(port, token, stop=stop)


def _require_known(model: str) -> None:
    if model not in MODELS:
        raise NoSuchModel(f"there is no such model here; there are {', '.join(MODELS)}", param="model")


def _judge(models: Models, text: str) -> Verdict:
    return models.moderation.look(text, models.embedder)


def _answer(models: Models, task: Task, told: BaseModel, prompt: str) -> tuple[str, dict[str, int]]:
    content = task.answer(models, told).model_dump_json()
    count = models.embedder.count_tokens
    return content, usage_of(count(prompt), count(content))


async def _stream(request: web.Request, content: str, usage: dict[str, int] | None) -> web.StreamResponse:
    headers = {"Content-Type": "text/event-stream; charset=utf-8", "Cache-Control": "no-store"}
    response = web.StreamResponse(headers=headers)
    await response.prepare(request)
    for event in chat_chunks(_pieces(content), usage):
        await response.write(event)
    await response.write_eof()
    return response


def _pieces(content: str) -> list[str]:
    """Cut after each member of a list, so that a client can show one reply while the next is on its way."""
    parts = content.split("},")
    return [part + "}," for part in parts[:-1]] + parts[-1:]


def _json(payload: dict[str, object]) -> web.Response:
    return web.Response(body=json.dumps(payload, ensure_ascii=False).encode(), content_type="application/json")


if __name__ == "__main__":
    main()
