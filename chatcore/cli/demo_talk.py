"""Eight invented people and what they say in four groups."""

from dataclasses import dataclass, field

PEOPLE = ("ana", "bo", "chidi", "dana", "eva", "farid", "grace", "hiro")


@dataclass(frozen=True, slots=True)
class Said:
    """`label` lets later lines answer this one; `first_written` is what stood there before an edit.

    `reactions` reads `🎉 bo eva, ☕ hiro`.
    """

    who: str
    text: str
    label: str = ""
    answers: str = ""
    reactions: str = ""
    first_written: str = ""
    pinned: bool = False

    def each_reaction(self) -> list[tuple[str, str]]:
        """Emoji and who set it."""
        sets = [part.split() for part in self.reactions.split(",") if part]
        return [(emoji, who) for emoji, *people in sets for who in people]


@dataclass(frozen=True, slots=True)
class Talk:
    """The first person makes the group; `read_to_the_end` have read everything, the others half."""

    group: str
    description: str
    people: tuple[str, ...]
    lines: tuple[Said, ...]
    read_to_the_end: tuple[str, ...] = field(default=())


GENERAL = Talk(
    "general",
    "Everybody, about everything",
    PEOPLE,
    (
        Said(
            "ana",
            "Good morning everyone! The new coffee machine works.",
            label="coffee",
            reactions="🎉 bo eva, ☕ hiro",
        ),
        Said(
            "bo",
            "Finally. Which button is the one that does not flood the kitchen?",
            label="button",
            answers="coffee",
            reactions="😂 ana grace",
        ),
        Said("ana", "The left one. I have put a note on the right one.", answers="button"),
        Said("chidi", "I am in the train and it stands still, I will be about 20 minutes late.", label="train"),
        Said(
            "dana",
            "No rush, we moved the planning to 10:30.",
            answers="train",
            first_written="No rush, we moved the planning to 10:00.",
        ),
        Said(
            "grace",
            "Reminder: the fire drill is on Thursday at 11. Please save your work before.",
            label="drill",
            reactions="👍 farid dana chidi",
            pinned=True,
        ),
        Said("farid", "Do we meet at the bicycle stand again?", answers="drill"),
        Said("grace", "Yes, the bicycle stand. And please do not bring your coffee, Bo."),
        Said("bo", "I make no promises.", reactions="👀 grace"),
        Said(
            "hiro", "Welcome Eva, by the way! It is her first week.", label="welcome", reactions="👋 ana bo chidi dana"
        ),
        Said(
            "eva",
            "Thank you! I have already found the coffee machine, the rest will follow.",
            answers="welcome",
            reactions="❤️ ana",
        ),
    ),
    ("ana", "bo", "grace", "dana"),
)

ENGINEERING = Talk(
    "engineering",
    "What we build and what broke",
    ("chidi", "dana", "farid", "hiro", "ana"),
    (
        Said("chidi", "The nightly import took 41 minutes. A week ago it was 12.", label="slow"),
        Said("hiro", "Since Monday? That is when we added the address check.", answers="slow"),
        Said(
            "dana",
            "It asks for each address on its own, 60,000 times. I can send them in batches of 500.",
            label="batch",
            answers="slow",
            reactions="🙏 chidi, 👍 farid",
        ),
        Said("farid", "Careful, their service answers 429 above ten calls a second.", answers="batch"),
        Said(
            "dana",
            "With batches it is 120 calls for the whole night, so we stay far below.",
            first_written="With batches it is 1200 calls for the whole night, so we stay far below.",
        ),
        Said(
            "chidi",
            "Measured on a copy: 9 minutes. I will review as soon as it is up.",
            label="measured",
            reactions="🚀 dana hiro farid",
        ),
        Said(
            "ana",
            "Nice. Shall we put an alarm at 20 minutes, so that we hear of it on the first day next time?",
            label="alarm",
            answers="measured",
            reactions="👍 chidi",
        ),
        Said(
            "hiro",
            'Done: warning at 20, page at 40. Runbook is in the wiki under "nightly import".',
            answers="alarm",
            pinned=True,
        ),
        Said(
            "farid",
            "Other matter: may I raise the minimum version to 3.11 on Friday? Two of our dependencies ask for it.",
            label="version",
        ),
        Said(
            "chidi",
            "Yes please. Only the old report server is on 3.10, and that one goes away on Wednesday.",
            answers="version",
            reactions="🎉 farid",
        ),
    ),
    ("chidi", "dana"),
)

DESIGN = Talk(
    "design",
    "How it looks and how it reads",
    ("eva", "grace", "bo", "dana"),
    (
        Said(
            "eva", "First sketch of the empty state: a short sentence and one button, no illustration.", label="sketch"
        ),
        Said(
            "grace",
            'I like that it says what to do. "No messages yet" alone always felt like a shrug.',
            answers="sketch",
            reactions="🙂 eva",
        ),
        Said("bo", "Contrast of the grey text is 3.2 to 1. We want 4.5 at least.", label="contrast", answers="sketch"),
        Said(
            "eva",
            "You are right. #6b6b6b on white gives 5.3, I take that one.",
            answers="contrast",
            reactions="✅ bo",
            first_written="You are right, I will look for a darker grey.",
        ),
        Said("dana", "How does it look at 320 pixels wide? Half of our people read on the train.", label="narrow"),
        Said(
            "eva",
            "The button goes below the sentence. Nothing is cut off.",
            answers="narrow",
            reactions="👍 dana grace",
        ),
        Said("grace", "Then from my side: ship it.", reactions="🎉 eva bo"),
    ),
    ("eva", "grace", "bo"),
)

WEEKEND = Talk(
    "weekend",
    "Not about work",
    ("farid", "bo", "grace", "hiro", "eva"),
    (
        Said(
            "farid",
            "Who comes to the lake on Saturday? The forecast says 24 degrees and no wind.",
            label="lake",
            reactions="🙋 hiro eva",
        ),
        Said("hiro", "I am in, and I bring the grill.", answers="lake", reactions="🔥 farid bo"),
        Said("bo", "Count me in for the second half, I play until noon.", answers="lake"),
        Said(
            "grace",
            "We have three places in the car from the north station, leaving at 9:30.",
            label="car",
            pinned=True,
        ),
        Said("eva", "One for me, please! I do salad and bread.", answers="car", reactions="👍 grace"),
        Said(
            "farid",
            "Great. Water is cold still, says my sister, who swims there every day and complains every day.",
            reactions="😂 eva hiro",
        ),
    ),
    ("farid", "hiro"),
)

TALKS = (GENERAL, ENGINEERING, DESIGN, WEEKEND)

# Said again and again by `--live`: each stands alone, so any order reads well.
SMALL_TALK = (
    "Back from lunch.",
    "Has anybody seen the projector?",
    "The build is green again.",
    "I will be in the quiet room until three.",
    "Nice work on the release notes!",
    "Could somebody look over my draft? It is short.",
    "The parcel for the workshop has arrived, it is at the front desk.",
    "Ten minutes until the stand-up.",
    "I take the support phone this afternoon.",
    "That fixed it, thank you.",
    "Who left the window open? It rains on the plants, they like it.",
    "I moved our meeting to the small room, the big one is taken.",
    "The numbers for last week are in: 4 percent up.",
    "Does Thursday suit everybody for the retrospective?",
    "My screen flickers. Is there a spare cable somewhere?",
    "Cake in the kitchen!",
    "I read the proposal. Two questions, I have left them as comments.",
    "The test server is down for five minutes, I restart it.",
    "And it is up again.",
    "See you tomorrow!",
)
LIVE_REACTIONS = ("👍", "🎉", "😂", "🙏", "👀")
