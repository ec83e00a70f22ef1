from typing import Any


def page(report: dict[str, Any], headline: str, facts: list[tuple[str, str]]) -> str:
    return ""
