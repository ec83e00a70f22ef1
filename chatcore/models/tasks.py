"""The tasks of the chat endpoint: name -> shape of the input and what answers it. All of it, on one page."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ValidationError

from chatcore.models import extraction, judging, shapes, tone
from chatcore.models.loaded import Models
from chatcore.models.refusals import BadRequest, CapabilityUnavailable, UnknownTask

OPEN, CLOSE = "<input>", "</input>"
NOT_OFFLINE = {
    "Translate": "translation needs a provider; nothing that ships with the server translates well enough",
    "JudgeModeration": "judging moderation needs a provider",
}


@dataclass(frozen=True, slots=True)
class Task:
    input: type[BaseModel]
    answer: Callable[[Models, Any], BaseModel]


TASKS: dict[str, Task] = {
    "ModerateMessage": Task(
        shapes.ModerateMessageInput, lambda models, asked: models.moderation.decide(asked, models.embedder)
    ),
    "SmartReplies": Task(shapes.SmartRepliesInput, lambda models, asked: models.suggest(asked)),
    "CompleteTyping": Task(shapes.CompleteTypingInput, lambda models, asked: models.completions.complete(asked)),
    "SummarizeConversation": Task(shapes.SummarizeConversationInput, lambda _, asked: extraction.summarize(asked)),
    "AnalyzeSentiment": Task(shapes.AnalyzeSentimentInput, lambda _, asked: tone.analyze_sentiment(asked)),
    "ExtractTopics": Task(shapes.ExtractTopicsInput, lambda _, asked: extraction.extract_topics(asked)),
    "ActionItems": Task(shapes.ActionItemsInput, lambda _, asked: extraction.find_action_items(asked)),
    "AnswerFromMessages": Task(
        shapes.AnswerFromMessagesInput, lambda models, asked: extraction.answer(asked, models.embedder)
    ),
    "JudgeReply": Task(shapes.JudgeReplyInput, lambda models, asked: judging.judge_reply(asked, models.embedder)),
    "JudgePair": Task(shapes.JudgePairInput, lambda models, asked: judging.judge_pair(asked, models.embedder)),
    "DetectLanguage": Task(shapes.DetectLanguageInput, lambda _, asked: tone.detect_language(asked)),
}


def find_task(name: str) -> Task:
    """Raises CapabilityUnavailable for what only a provider can do, UnknownTask for anything else."""
    if name in NOT_OFFLINE:
        raise CapabilityUnavailable(NOT_OFFLINE[name])
    if name not in TASKS:
        raise UnknownTask(f"the header x-chatcore-task names no task of this endpoint; it has {', '.join(TASKS)}")
    return TASKS[name]


def read_input(task: Task, message: str) -> BaseModel:
    """The JSON object after the first `<input>`. What people wrote stands inside JSON strings, so a `</input>` in
    there ends nothing. Raises BadRequest, which names the fields that are wrong and never quotes a value."""
    _, found, rest = message.partition(OPEN)
    if not found:
        raise BadRequest(f"the last user message holds no {OPEN} with a JSON object", param="messages")
    try:
        told, end = json.JSONDecoder().raw_decode(rest.lstrip())
    except (ValueError, RecursionError):
        raise BadRequest(f"what follows {OPEN} is not JSON", param="messages") from None
    if not rest.lstrip()[end:].lstrip().startswith(CLOSE):
        raise BadRequest(f"{CLOSE} must follow the JSON object", param="messages")
    try:
        return task.input.model_validate(told)
    except ValidationError as wrong:
        fields = sorted({".".join(map(str, error["loc"])) or "(whole)" for error in wrong.errors()})
        raise BadRequest(f"the input has wrong fields: {', '.join(fields[:10])}", param="messages") from None
