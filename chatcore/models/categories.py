"""Names of the moderation models' heads: data alone, so that the server may know them without the models."""

from typing import Final

CATEGORIES: Final = ("S", "H", "V", "HR", "SH", "H2", "V2")
HEADS: Final = ("any", "toxic", *CATEGORIES)
OPENAI_NAMES: Final = {
    "S": "sexual",
    "H": "hate",
    "V": "violence",
    "HR": "harassment",
    "SH": "self-harm",
    "H2": "hate/threatening",
    "V2": "violence/graphic",
}
