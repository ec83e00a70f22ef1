"""What `decisions replay` says of decisions that could not be made again."""

from datetime import UTC, datetime

import pytest

from chatcore.ai.replay import NO_PROMPT, UNREADABLE, Divergence, summarize
from chatcore.cli import replay
from chatcore.errors import catalogue


def refused(code: str) -> Divergence:
    return Divergence("d" * 24, "moderation", datetime(2026, 1, 1, tzinfo=UTC), "", "", error=code)


def test_each_reason_is_told_once_with_what_it_means_and_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    found = [refused(code) for code in ("conflict", "conflict", "not_found", UNREADABLE, NO_PROMPT)]
    replay._show(found, summarize(found))
    lines = capsys.readouterr().out.splitlines()
    told = {line.partition(":")[0]: line for line in lines if " x " in line.partition(":")[0]}
    assert list(told) == ["2 x conflict", "1 x not_found", "1 x unreadable", "1 x no_prompt"]
    assert "edited since" in told["2 x conflict"]
    assert "prompts list" in told["1 x not_found"]
    assert "kept nowhere" in told["1 x unreadable"]


@pytest.mark.parametrize("code", sorted(catalogue()))
def test_no_refusal_is_a_bare_code(code: str) -> None:
    (line,) = replay._why([refused(code)])
    assert len(line.partition(": ")[2]) > len(code)
