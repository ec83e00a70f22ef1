"""What a ledger says about money, calls and waiting."""

import math
from typing import Any

import pandas as pd
import pytest

from chatcore.lab.decisions import frame
from chatcore.lab.spending import bars, fallbacks, latencies, spending


def row(number: int, **changed: Any) -> dict[str, Any]:
    served = {"provider": "openai", "model": "gpt-4o-mini", "degraded": False, "latencyMs": 10.0 * (number + 1),
              "promptTokens": 1_000, "completionTokens": 100, "costUsd": 0.00021}  # fmt: skip
    served |= changed.pop("served", {})
    plain = {"decisionId": f"{number:024}", "at": f"2026-01-05T10:00:{number % 60:02}.000Z", "feature": "smart_reply",
             "mode": "live", "groupId": f"group-{number % 4}", "messageId": f"message-{number}",
             "inputSha256": f"{number}", "prompt": "SmartReplies@1", "served": served}  # fmt: skip
    return plain | changed


def test_cost_is_related_to_the_messages_that_the_window_saw() -> None:
    spent = spending(frame([row(number) for number in range(40)]))
    assert (spent.messages, spent.groups) == (40, 4)
    assert spent.per_thousand.estimate == pytest.approx(0.21)
    assert (spent.per_thousand.clusters, spent.per_thousand.n) == (4, 40)
    assert spent.projected.estimate == pytest.approx(0.21), "the same model has the same price"
    assert "$0.2100 for 1,000 messages" in spent.sentence


def test_a_price_that_nobody_knows_is_missing_and_not_free() -> None:
    unknown = {"provider": "compatible", "model": "own", "costUsd": None}
    spent = spending(frame([row(0), row(1), row(2, served=unknown), row(3, served=unknown)]))
    assert spent.unpriced == spent.per_thousand.missing == 2
    own = spent.table[spent.table["model"] == "own"].iloc[0]
    assert math.isnan(own["cost_usd"])
    assert "without 2 calls whose price nobody knows" in spent.sentence
    nothing = spending(frame([row(0, served=unknown)]))
    assert math.isnan(nothing.per_thousand.estimate)
    assert "unknown for 1,000 messages" in nothing.sentence


def test_shadows_are_paid_for_and_replays_are_none_of_the_traffic() -> None:
    rows = frame([row(0), row(1, mode="shadow", messageId=None), row(2, mode="replay")])
    spent = spending(rows)
    assert spent.table["calls"].sum() == 2
    assert spent.table["cost_usd"].sum() == pytest.approx(0.00042)
    assert spent.shadow_share == 0.5


def test_whoever_fell_back_is_counted_with_the_reason() -> None:
    late = {"provider": "embedded", "model": "chatcore-tasks", "degraded": True, "fallback": "timeout", "costUsd": 0.0}
    rows = frame([row(number, **({"served": late} if number < 5 else {})) for number in range(20)])
    spent, why = spending(rows), fallbacks(rows)
    assert spent.fallback.estimate == 0.25
    assert why[["feature", "fallback", "calls", "share"]].to_numpy().tolist() == [["smart_reply", "timeout", 5, 0.25]]
    assert fallbacks(frame([row(0)])).empty


def test_a_repeat_is_the_same_question_to_the_same_version() -> None:
    rows = [row(0), row(1, inputSha256="0"), row(2, inputSha256="0", prompt="SmartReplies@2"), row(3)]
    rows += [row(number, feature="moderation", inputSha256="0") for number in (4, 5)]
    assert spending(frame(rows)).repeated.estimate == 0.25


def test_a_moderation_model_has_no_price_in_tokens_of_a_language_model() -> None:
    spent = spending(frame([row(0, feature="moderation")]), priced_as="gpt-4o")
    assert spent.projected.estimate == 0


def test_nothing_spent_and_an_unknown_model_are_said() -> None:
    with pytest.raises(ValueError, match="nothing was decided"):
        spending(frame([]))
    with pytest.raises(ValueError, match="no price"):
        spending(frame([row(0)]), priced_as="gpt-0")


def test_pictures_show_every_feature() -> None:
    rows = frame([row(0), row(1, feature="summary"), row(2, feature="moderation")])
    labels = {text.get_text() for text in latencies(rows).axes[0].get_yticklabels()}
    assert labels == {"moderation (1)", "smart_reply (1)", "summary (1)"}
    assert [axes.get_title() for axes in bars(spending(rows)).axes][:2] == ["calls", "tokens"]
    assert isinstance(spending(rows)._repr_html_(), str)
    assert isinstance(spending(rows).table, pd.DataFrame)
