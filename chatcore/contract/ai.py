"""Shapes about what models suggest, find out and say. Moderation and search have pages of their own."""

from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from chatcore.contract.base import Clean, Moment, ObjectIdText, Shape

MAX_AI_TEXT = 8_000
TimeRange = Literal["1h", "6h", "12h", "24h", "7d", "30d"]
Tone = Literal["positive", "neutral", "negative"]
Rating = Literal[
    "positive", "negative", "helpful", "not_helpful", "inappropriate", "shown", "accepted", "edited", "dismissed"
]
Share = Annotated[float, Field(ge=0, le=1)]
Content = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=MAX_AI_TEXT), Clean]
LanguageCode = Annotated[str, StringConstraints(pattern=r"^[a-z]{2,3}(-[A-Za-z]{2,4})?\z")]
HintText = Annotated[str, StringConstraints(max_length=20_000), Clean]
HintLines = Annotated[list[dict[str, object] | str], Field(max_length=200)]


class Served(Shape):
    """Who answered. `degraded`: not the provider but the small models that ship with the server, or rules."""

    decision_id: ObjectIdText
    provider: Literal["openai", "compatible", "embedded", "rules"]
    model: str
    degraded: bool


class RequestSmartReplies(Shape):
    """Replies to the newest message, or to `messageId`. What older clients send along of the conversation is at most
    a hint at the message that is meant: the server reads the conversation itself."""

    group_id: ObjectIdText
    message_id: ObjectIdText | None = None
    stream: bool = False
    message_content: HintText | None = None
    message_history: HintLines | None = None
    context_messages: HintLines | None = None
    context: HintText | HintLines | None = None


class Suggestion(Shape):
    suggestion_id: ObjectIdText
    text: Annotated[str, Field(max_length=280)]


class SmartReplies(Served):
    """`suggestions` are the texts of `items`, as older clients read them; at most three, none where nothing fits."""

    group_id: ObjectIdText
    request_id: str
    suggestions: list[str]
    items: list[Suggestion]
    confidence: Share
    processing_time: int


class SmartReplyChunk(Shape):
    """One suggestion that passed the checks, or at the end none with `isComplete`."""

    request_id: str
    chunk: str
    is_complete: bool


class RequestTypingSuggestion(Shape):
    """`cursorPosition` counts as JavaScript does, in UTF-16 units; what follows it is not looked at. `context` is not
    read."""

    group_id: ObjectIdText
    current_text: HintText | None = None
    partial_text: HintText | None = None
    cursor_position: int | None = Field(default=None, ge=0, le=20_000)
    context: HintText | HintLines | None = None

    @model_validator(mode="after")
    def _one_text(self) -> Self:
        if (self.current_text is None) == (self.partial_text is None):
            raise ValueError("needs either currentText or partialText")
        return self

    @property
    def before_cursor(self) -> str:
        text = self.current_text if self.current_text is not None else self.partial_text or ""
        if self.cursor_position is None:
            return text
        return text.encode("utf-16-le")[: 2 * self.cursor_position].decode("utf-16-le", "ignore")


class TypingSuggestion(Shape):
    """What would follow the cursor; empty, and then without an id, where nothing is clear. The other fields are
    missing where no model was asked, as for a text that is too short."""

    group_id: ObjectIdText
    request_id: str
    suggestion_id: ObjectIdText | None = None
    suggestion: Annotated[str, Field(max_length=280)]
    confidence: Share
    degraded: bool
    decision_id: ObjectIdText | None = None
    provider: Literal["openai", "compatible", "embedded", "rules"] | None = None
    model: str | None = None


class RateSuggestion(Shape):
    """What became of a suggestion, or what one thinks of it; each kind counts once."""

    suggestion_id: ObjectIdText
    rating: Rating
    feedback: Annotated[str, StringConstraints(strip_whitespace=True, max_length=1_000), Clean] | None = None


class Summarize(Shape):
    group_id: ObjectIdText
    time_range: TimeRange = "24h"


class Window(Served):
    """What an analysis looked at: `messageCount` messages of the time range, the newest ones where `truncated`.
    `cached`: the same messages were looked at before."""

    group_id: ObjectIdText
    time_range: TimeRange
    message_count: int
    truncated: bool
    cached: bool


class Summary(Window):
    summary: str
    message_ids: list[ObjectIdText]


class FindTopics(Shape):
    group_id: ObjectIdText
    count: int = Field(default=5, ge=1, le=20)
    time_range: TimeRange = "7d"


class Topic(Shape):
    """`share` says how much of the conversation is about it; shares need not add up to 1."""

    label: str
    share: Share
    message_ids: list[ObjectIdText]


class Topics(Window):
    topics: list[Topic]


class AnalyzeSentiment(Shape):
    content: Content


class Sentiment(Served):
    """`score` from -1 to 1."""

    sentiment: Tone
    score: Annotated[float, Field(ge=-1, le=1)]


class Translate(Shape):
    content: Content
    target_language: LanguageCode
    source_language: LanguageCode | None = None


class Translation(Served):
    translated_text: str
    source_language: str


class DetectLanguage(Shape):
    content: Content


class Language(Served):
    """ISO 639 code, `und` for a text without letters."""

    language: str
    confidence: Share


class AskInsights(Shape):
    group_id: ObjectIdText
    time_range: TimeRange = "24h"


class ActionItem(Shape):
    """`assignee` is a name and `due` are words out of the messages; missing where they name none."""

    text: str
    assignee: str | None = None
    due: str | None = None
    message_id: ObjectIdText


class Mood(Shape):
    """`score` from -1 to 1; the counts are messages."""

    sentiment: Tone
    score: Annotated[float, Field(ge=-1, le=1)]
    positive: int
    neutral: int
    negative: int


class Activity(Shape):
    participants: int
    first_at: Moment | None = None
    last_at: Moment | None = None


class Risk(Shape):
    """How many messages the first look of moderation finds rough; an estimate, and nobody is named."""

    level: Literal["low", "raised", "high"]
    share: Share


class Insights(Window):
    """Several looks at once. One that failed is missing, and named in `missing`."""

    summary: str | None = None
    topics: list[Topic] | None = None
    action_items: list[ActionItem] | None = None
    mood: Mood | None = None
    risk: Risk | None = None
    activity: Activity
    missing: list[Literal["summary", "topics", "action_items", "mood", "risk"]]
