"""Shapes about the ledger of AI decisions and about prompt versions: for people with a role on the server."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, StringConstraints

from chatcore.contract.base import Clean, Moment, ObjectIdText, Shape, ToldMoment

FeatureName = Literal[
    "moderation", "smart_reply", "typing", "summary", "topics", "sentiment", "action_items", "search", "ask",
    "translate", "language", "embedding", "judge",
]  # fmt: skip
DecisionMode = Literal["live", "shadow", "replay"]
PromptState = Literal["draft", "shadow", "canary", "live", "retired"]
PromptId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z]{1,64}(@[0-9a-f]{4,64})?\z", max_length=129)]
FunctionName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z]{1,64}\z", max_length=64)]
ReportId = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=128), Clean]


Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}\z", max_length=64)]
WholePromptId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z]{1,64}@[0-9a-f]{64}\z", max_length=129)]
Sentence = Annotated[str, StringConstraints(max_length=1_000), Clean]
Label = Annotated[str, StringConstraints(min_length=1, max_length=200), Clean]
Finite = Annotated[float, Field(allow_inf_nan=False)]  # JSON has no other: it would come back from the store as null
ReportStatus = Literal["passed", "failed", "inconclusive", "error", "timeout", "interrupted"]
GateState = Literal["passed", "failed", "inconclusive", "missing"]


MOST_LEVELS = 20
LARGEST_WHOLE = 2**53 - 1


def _storable(parameters: dict[str, Any]) -> dict[str, Any]:
    """Refuses what JSON lets through but the database does not: NUL in a name, huge numbers, levels without end."""
    level: list[Any] = [parameters]
    for _ in range(MOST_LEVELS):
        if any("\x00" in name for each in level if isinstance(each, dict) for name in each):
            raise ValueError("must not have a NUL character in a name")
        if any(isinstance(each, int) and abs(each) > LARGEST_WHOLE for each in level):
            raise ValueError(f"must not hold whole numbers beyond {LARGEST_WHOLE}")
        inner = [each.values() if isinstance(each, dict) else each for each in level if isinstance(each, dict | list)]
        level = [value for values in inner for value in values]
        if not level:
            return parameters
    raise ValueError(f"must not be nested deeper than {MOST_LEVELS} levels")


class ListDecisions(Shape):
    """Newest first, from `until` back to `since`; the next page ends at the last one's `at`."""

    feature: FeatureName | None = None
    group_id: ObjectIdText | None = None
    prompt: PromptId | None = None
    mode: DecisionMode | None = None
    since: ToldMoment | None = None
    until: ToldMoment | None = None
    limit: Annotated[int, Field(ge=1, le=200)] = 50


class DecisionPath(Shape):
    """`include=content` adds what was asked and answered, where it is still kept."""

    decision_id: ObjectIdText
    include: Literal["content"] | None = None


class ServedBy(Shape):
    """`costUsd` is an estimate, missing where no price is known; `fallback` is why the first choice did not answer."""

    provider: str
    model: str
    degraded: bool
    request_id: str
    latency_ms: float
    prompt_tokens: int
    completion_tokens: int
    cost_usd: float | None = None
    fallback: str | None = None


class DecisionLine(Shape):
    """One decision without its content. `person` is a keyed hash, the same for the same person."""

    decision_id: str
    feature: str
    at: Moment
    mode: DecisionMode
    action: str | None = None
    group_id: str | None = None
    message_id: str | None = None
    message_seq: int | None = None
    person: str | None = None
    prompt: str | None = None
    arm: str | None = None
    parameters: dict[str, Any] = Field(default_factory=dict)
    scores: dict[str, float] = Field(default_factory=dict)
    thresholds_version: str | None = None
    input_sha256: str
    replay_of: str | None = None
    shadow_of: str | None = None
    served: ServedBy
    human: dict[str, Any] | None = None
    appeal: dict[str, Any] | None = None
    exposure: dict[str, Any] | None = None


class Decisions(Shape):
    decisions: list[DecisionLine]
    has_more: bool


class DecisionDetail(DecisionLine):
    """`contentGone`: the content was erased or never kept."""

    content_gone: bool
    input: dict[str, Any] | None = None
    output: dict[str, Any] | None = None


class ListPrompts(Shape):
    function: FunctionName | None = None


class PromptPath(Shape):
    """A version's id, the beginning of one, or a function's name for its live version."""

    version_id: PromptId


class AddPrompt(Shape):
    """BAML that defines `function <name>(input: string)`; the parameters go to the model inside the input."""

    function: FunctionName
    text: Annotated[str, StringConstraints(min_length=1, max_length=64_000), Clean]
    parameters: Annotated[dict[str, Any], Field(max_length=100), AfterValidator(_storable)] = Field(
        default_factory=dict
    )


class StartCanary(PromptPath):
    """`share` of the people, above 0 and at most a half."""

    share: Annotated[float, Field(gt=0, le=0.5)]


class PromotePrompt(PromptPath):
    """`reportId` names an evaluation report that passed, on exactly this version."""

    report_id: ReportId


class ReportGate(Shape):
    """One condition of a report: `found` (the value, or a bound of its interval) must be `op` `value`."""

    metric: Label
    bound: Literal["value", "ci_low", "ci_high"]
    op: Literal[">=", "<=", ">", "<", "=="]
    value: Finite
    found: Finite | None = None
    state: GateState
    advisory: bool = False
    sentence: Sentence = ""


class Report(Shape):
    """An evaluation of one prompt version, perhaps in comparison `against` another. `artifacts` maps files of the run
    to their SHA-256. `sha256` is that of all the rest, as JSON with sorted keys and without spaces."""

    report_id: ReportId
    prompt: WholePromptId
    against: WholePromptId | None = None
    job: Label
    status: ReportStatus
    reason: Sentence = ""
    started_at: ToldMoment
    finished_at: ToldMoment
    gates: Annotated[list[ReportGate], Field(max_length=100)]
    datasets: Annotated[list[Label], Field(max_length=50)] = Field(default_factory=list)
    artifacts: Annotated[dict[Label, Sha256], Field(max_length=200)] = Field(default_factory=dict)
    sha256: Sha256


class ReportPath(Shape):
    report_id: ReportId


class Prompt(Shape):
    version_id: str
    function: str
    state: PromptState
    origin: Literal["shipped", "added"]
    share: float | None = None
    parameters: dict[str, Any]


class PromptText(Prompt):
    text: str


class Prompts(Shape):
    prompts: list[Prompt]
