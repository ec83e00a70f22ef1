"""What notices and the decision ledger keep about a person, for the export of oneself."""

from typing import Final

from chatcore.ai.ledger.records import Decision
from chatcore.ai.ledger.service import Ledger
from chatcore.contract.people import MyDecision
from chatcore.identity.service import Exported, Exporter, Identity
from chatcore.ports import Caller
from chatcore.push.service import Push

MOST_DECISIONS: Final = 10_000


def export_notices_and_decisions(identity: Identity, push: Push, ledger: Ledger) -> None:
    identity.on_export(_subscriptions_of(push))
    identity.on_export(_decisions_of(ledger))


def _subscriptions_of(push: Push) -> Exporter:
    async def exported(caller: Caller) -> Exported:
        """The host and no more: the endpoint and its keys would let whoever reads the file wake the browser."""
        return Exported(push_subscriptions=(await push.mine(caller)).subscriptions)

    return exported


def _decisions_of(ledger: Ledger) -> Exporter:
    async def exported(caller: Caller) -> Exported:
        found = await ledger.of_person(caller.user_id, MOST_DECISIONS + 1)
        return Exported(decisions=[_shape(one) for one in found[:MOST_DECISIONS]], has_more=len(found) > MOST_DECISIONS)

    return exported


def _shape(decision: Decision) -> MyDecision:
    """Without what reviewers wrote: that is about them as well."""
    return MyDecision(
        decision_id=decision.decision_id,
        feature=decision.feature,
        at=decision.at,
        mode=decision.mode,
        action=decision.action or None,
        group_id=decision.group_id or None,
        message_id=decision.message_id or None,
        scores=dict(decision.scores),
        provider=decision.served.provider,
        model=decision.served.model,
        degraded=decision.served.degraded,
        reviewed=decision.human is not None,
        appealed=decision.appeal is not None,
    )
