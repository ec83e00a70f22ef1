"""What each task takes and gives. Inputs come as one JSON object between `<input>` and `</input>`.

A prompt version sends its parameters inside the input, so two versions differ here as they would at a provider.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

MAX_TEXT = 20_000
MAX_MESSAGES = 2_000

Text = Annotated[str, Field(max_length=MAX_TEXT)]
Score = Annotated[float, Field(ge=0, le=1)]
Label = Literal["positive", "neutral", "negative"]


class Input(BaseModel):
    """Unknown fields are for larger models; they are left out here without an error."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class Output(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Turn(Input):
    """One message of a conversation. `id` is what answers cite; `own` marks those of the person who asks."""

    id: str = ""
    sender: str = ""
    text: Text
    own: bool = False


Turns = Annotated[list[Turn], Field(max_length=MAX_MESSAGES)]


class RankingWeights(Input):
    """Shares of a reply's score: the intent's likeness to the last turn, the reply's own likeness to the last turn
    and to the last `context_turns` together, its first sentence's to the last one said, and shared words weighted by
    rarity. Taken off are `common`, how near the reply is to turns of all kinds, because such a reply is near to
    everything and answers nothing, and `manner`, how far it is from the way in which the person who asks writes.

    Round numbers near the best ones on conversations that no evaluation measures (`training/evaluate_replies.py`)."""

    intent: Annotated[float, Field(ge=0, le=10)] = 1.0
    last_turn: Annotated[float, Field(ge=0, le=10)] = 0.25
    last_sentence: Annotated[float, Field(ge=0, le=10)] = 0.2
    context: Annotated[float, Field(ge=0, le=10)] = 0.2
    words: Annotated[float, Field(ge=0, le=10)] = 0.03
    common: Annotated[float, Field(ge=0, le=10)] = 0.25
    manner: Annotated[float, Field(ge=0, le=10)] = 0.06


class ReplyParameters(Input):
    context_turns: Annotated[int, Field(ge=1, le=20)] = 2
    cosine_floor: Annotated[float, Field(ge=-1, le=1)] = 0.3
    candidate_limit: Annotated[int, Field(ge=1, le=200)] = 40
    ranking_weights: RankingWeights = RankingWeights()


class SmartRepliesInput(Input):
    messages: Turns = []
    limit: Annotated[int, Field(ge=1, le=3)] = 3
    language: str = "en"
    parameters: ReplyParameters = ReplyParameters()


class Reply(Output):
    text: Annotated[str, Field(max_length=280)]
    score: Score
    intent: str


class SmartReplies(Output):
    """Best first. `confidence` is the likeness of the last turn to the chosen intent; 0 for templates."""

    replies: list[Reply]
    confidence: Score


class CompletionParameters(Input):
    min_characters: Annotated[int, Field(ge=1, le=50)] = 3
    max_words: Annotated[int, Field(ge=1, le=20)] = 6
    min_count: Annotated[int, Field(ge=1, le=100)] = 1


class CompleteTypingInput(Input):
    """`text` is all that stands before the cursor; `messages` are past messages of the same group, oldest first."""

    text: Text
    messages: Turns = []
    parameters: CompletionParameters = CompletionParameters()


class CompleteTyping(Output):
    """`completion` is what would follow the cursor, with its leading space if one is needed; empty for none."""

    completion: Annotated[str, Field(max_length=280)]
    confidence: Score


class ModerationParameters(Input):
    """Thresholds by category name of the endpoint; what is left out keeps the measured one."""

    thresholds: dict[str, Score] = {}


class ModerateMessageInput(Input):
    text: Text
    parameters: ModerationParameters = ModerationParameters()


class CategoryScore(Output):
    category: str
    score: Score
    flagged: bool


class ModerateMessage(Output):
    """`action` is advice: hate is never more than `flag` here, because no small model ranks it well enough."""

    flagged: bool
    action: Literal["allow", "flag", "block"]
    categories: list[CategoryScore]
    reason: str


class SummaryParameters(Input):
    max_sentences: Annotated[int, Field(ge=1, le=20)] = 4
    max_characters: Annotated[int, Field(ge=80, le=4_000)] = 800


class SummarizeConversationInput(Input):
    messages: Turns
    parameters: SummaryParameters = SummaryParameters()


class SummarizeConversation(Output):
    """Sentences of the messages themselves, in their order; nothing is invented."""

    summary: str
    message_ids: list[str]


class AnalyzeSentimentInput(Input):
    messages: Turns


class MessageSentiment(Output):
    message_id: str
    label: Label
    score: Annotated[float, Field(ge=-1, le=1)]


class AnalyzeSentiment(Output):
    label: Label
    score: Annotated[float, Field(ge=-1, le=1)]
    messages: list[MessageSentiment]


class TopicParameters(Input):
    max_topics: Annotated[int, Field(ge=1, le=20)] = 5


class ExtractTopicsInput(Input):
    messages: Turns
    parameters: TopicParameters = TopicParameters()


class Topic(Output):
    name: str
    score: Score
    message_ids: list[str]


class ExtractTopics(Output):
    topics: list[Topic]


class ActionItemsInput(Input):
    messages: Turns


class ActionItem(Output):
    """`assignee` is a name out of the messages or empty; `due` are the words of the message, not a date."""

    text: str
    assignee: str
    due: str
    message_id: str


class ActionItems(Output):
    items: list[ActionItem]


class AnswerParameters(Input):
    cosine_floor: Annotated[float, Field(ge=-1, le=1)] = 0.35
    max_sentences: Annotated[int, Field(ge=1, le=10)] = 3


class AnswerFromMessagesInput(Input):
    question: Text
    messages: Turns
    parameters: AnswerParameters = AnswerParameters()


class AnswerFromMessages(Output):
    """Sentences quoted from the messages that `message_ids` name; empty, with `answered` false, when none is near."""

    answer: str
    message_ids: list[str]
    answered: bool
    confidence: Score


class DetectLanguageInput(Input):
    text: Text


class DetectLanguage(Output):
    """ISO 639 code, or `und` for a text without letters."""

    language: str
    confidence: Score


class JudgeReplyInput(Input):
    """`reference` is what was really said, if that is known."""

    messages: Turns = []
    reply: Text
    reference: Text = ""


class JudgeReply(Output):
    """`score`: 0 nobody would send it, 1 anybody would. Offline there is likeness alone, and never a fault."""

    score: Score
    faults: list[Literal["off_topic", "invented", "tone", "unsafe", "obeys"]]
    reason: str


class JudgePairInput(Input):
    messages: Turns = []
    first: Text
    second: Text
    reference: Text = ""


class JudgePair(Output):
    winner: Literal["first", "second", "tie"]
    reason: str
