"""Commands that ask models: suggestions to oneself, and what a conversation holds."""

from chatcore.api.command import Command, Refusal
from chatcore.api.command import Rest as Route
from chatcore.contract import ai
from chatcore.contract.base import Empty, Shape
from chatcore.errors import CapabilityUnavailable, NotFound, Unavailable

MODEL: tuple[Refusal, ...] = (CapabilityUnavailable, Unavailable)
GROUP: tuple[Refusal, ...] = (NotFound, *MODEL)

COMMANDS: tuple[Command, ...] = (
    Command(
        name="request_smart_replies",
        refuses=GROUP,
        event="request_smart_replies",
        reply_event="smart_replies_complete",
        rest=Route("POST", "/ai/smart-replies"),
        request=ai.RequestSmartReplies,
        reply=ai.SmartReplies,
        answer=lambda s, c, r: s.suggestions.suggest_replies(c, r),
        limit="ai",
        tag="ai",
        error_event="ai_error",
        slow=True,
        summary="What one could answer to a message; only the caller sees it.",
    ),
    Command(
        name="request_typing_suggestions",
        refuses=GROUP,
        event="request_typing_suggestions",
        reply_event="typing_suggestion",
        rest=Route("POST", "/ai/typing-suggestions"),
        request=ai.RequestTypingSuggestion,
        reply=ai.TypingSuggestion,
        answer=lambda s, c, r: s.suggestions.complete_typing(c, r),
        limit="typing_suggestions",
        tag="ai",
        error_event="ai_error",
        slow=True,
        summary="The rest of a line that is being typed.",
    ),
    Command(
        name="rate_ai_suggestion",
        refuses=(NotFound,),
        event="rate_ai_suggestion",
        request=ai.RateSuggestion,
        reply=Empty,
        answer=lambda s, c, r: s.suggestions.rate(c, r),
        limit="reaction",
        tag="ai",
        error_event="ai_error",
        summary="Say what became of a suggestion.",
    ),
    Command(
        name="summarize",
        refuses=GROUP,
        rest=Route("POST", "/ai/summarize"),
        request=ai.Summarize,
        reply=ai.Summary,
        answer=lambda s, c, r: s.analysis.summarize(c, r),
        limit="ai",
        tag="ai",
        summary="What a group talked about in a time range, as far as the caller may read it.",
    ),
    Command(
        name="topics",
        refuses=GROUP,
        rest=Route("POST", "/ai/topics"),
        request=ai.FindTopics,
        reply=ai.Topics,
        answer=lambda s, c, r: s.analysis.topics(c, r),
        limit="ai",
        tag="ai",
        summary="The subjects of a conversation.",
    ),
    Command(
        name="insights",
        refuses=GROUP,
        rest=Route("GET", "/ai/insights/{groupId}"),
        request=ai.AskInsights,
        reply=ai.Insights,
        answer=lambda s, c, r: s.analysis.insights(c, r),
        limit="ai",
        tag="ai",
        summary="Summary, topics, tasks, mood and risk of a conversation at once.",
    ),
    Command(
        name="sentiment",
        refuses=MODEL,
        rest=Route("POST", "/ai/sentiment"),
        request=ai.AnalyzeSentiment,
        reply=ai.Sentiment,
        answer=lambda s, c, r: s.analysis.sentiment(c, r),
        limit="ai",
        tag="ai",
        summary="The tone of a text.",
    ),
    Command(
        name="translate",
        refuses=MODEL,
        rest=Route("POST", "/ai/translate"),
        request=ai.Translate,
        reply=ai.Translation,
        answer=lambda s, c, r: s.analysis.translate(c, r),
        limit="ai",
        tag="ai",
        summary="A text in another language; needs a model provider.",
    ),
    Command(
        name="detect_language",
        refuses=MODEL,
        rest=Route("POST", "/ai/detect-language"),
        request=ai.DetectLanguage,
        reply=ai.Language,
        answer=lambda s, c, r: s.analysis.detect_language(c, r),
        limit="ai",
        tag="ai",
        summary="The language of a text.",
    ),
)

EVENTS: dict[str, type[Shape]] = {"smart_reply_stream": ai.SmartReplyChunk}
