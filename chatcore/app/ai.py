"""The AI parts, wired together: models, ledger and prompts, and who runs the embedded models."""

import importlib.util
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from chatcore.ai.calls import Provider
from chatcore.ai.ledger.service import Ledger
from chatcore.ai.ledger.store import MongoLedgerStore
from chatcore.ai.prompts.runtime import Runtimes
from chatcore.ai.prompts.service import POLL_SECONDS, Prompts
from chatcore.ai.prompts.shipped import shipped
from chatcore.ai.prompts.store import MongoPromptStore
from chatcore.ai.provider.breaker import Breaker
from chatcore.ai.provider.budget import Budget
from chatcore.ai.provider.models import Models
from chatcore.ai.provider.rungs import (
    EMBEDDED_CHAT,
    EMBEDDED_MODERATION,
    EMBEDDED_SPACE,
    MODERATION_MODEL,
    Configured,
    Endpoint,
    ModelNames,
    Rung,
)
from chatcore.ai.provider.store import MongoBudgetStore
from chatcore.ai.replay import Replay
from chatcore.app.keys import Keys
from chatcore.audit.service import Audit
from chatcore.audit.store import MongoAuditStore
from chatcore.background import Background
from chatcore.embedded.models import EmbeddedModels, SharedModels
from chatcore.metrics import Metrics
from chatcore.mongo import Mongo
from chatcore.settings import Settings
from chatcore.vault.service import Vault

OPENAI_URL: Final = "https://api.openai.com/v1"


@dataclass
class Ai:
    """What every AI feature is made of. `embedded` is None where nothing may or can run it here."""

    models: Models
    ledger: Ledger
    prompts: Prompts
    replay: Replay
    embedded: EmbeddedModels | SharedModels | None

    async def start_models(self) -> None:
        """Returns at once; the chat serves while they load."""
        if isinstance(self.embedded, EmbeddedModels):
            await self.embedded.start()

    def start_chores(self, background: Background) -> None:
        background.every(POLL_SECONDS, "prompts", self.prompts.refresh)
        background.watch("ledger", self.ledger.run())

    async def close(self) -> None:
        await self.ledger.close()
        await self.models.close()
        if isinstance(self.embedded, EmbeddedModels):
            await self.embedded.stop()


def compose_ai(
    settings: Settings, mongo: Mongo, vault: Vault, keys: Keys, metrics: Metrics, *, shared_models: bool = False
) -> Ai:
    """`shared_models`: a supervisor of several server processes runs the embedded models for all of them."""
    db = mongo.database
    disabled = why_disabled(settings)
    embedded = None if disabled else _embedded(settings, shared=shared_models)
    ledger = Ledger(MongoLedgerStore(db), vault, secret=keys.ids, retention_days=settings.ai_decision_days)
    budget = Budget(
        MongoBudgetStore(db),
        daily=settings.ai_daily_tokens,
        daily_per_user=settings.ai_daily_tokens_per_user,
        person=ledger.person,
    )
    runtimes = Runtimes()
    models = make_models(settings, embedded, budget, metrics, runtimes)
    prompts = make_prompts(mongo, keys, runtimes)
    return Ai(models, ledger, prompts, Replay(ledger, models, prompts), embedded)


def make_models(
    settings: Settings, embedded: Endpoint | None, budget: Budget, metrics: Metrics, runtimes: Runtimes
) -> Models:
    """The ladder that the settings ask for, on top of the embedded models where somebody runs them."""
    disabled = why_disabled(settings)
    return Models(
        () if disabled else _rungs(settings, embedded, metrics),
        disabled=disabled,
        timeout_seconds=settings.ai_timeout_seconds,
        budget=budget,
        metrics=metrics,
        shipped=shipped(),
        runtimes=runtimes,
    )


def make_prompts(mongo: Mongo, keys: Keys, runtimes: Runtimes | None = None) -> Prompts:
    """Every move of a version, and every report, is one transaction with its line in the audit."""
    audit = Audit(MongoAuditStore(mongo.database), keys.audit)
    return Prompts(MongoPromptStore(mongo.database), shipped(), runtimes=runtimes or Runtimes(), audit=audit)


def why_disabled(settings: Settings) -> str:
    """Why no model may be asked on this server at all; "" where they may."""
    if not settings.ai:
        return "AI is switched off on this server"
    missing = [name for name in ("openai", "baml_py", "langgraph", "numpy") if importlib.util.find_spec(name) is None]
    return f"AI needs packages that are not installed here: {', '.join(missing)}" if missing else ""


def has_provider(settings: Settings) -> bool:
    return bool(settings.openai_api_key.get_secret_value() or settings.openai_base_url)


def has_embedded_models() -> bool:
    return importlib.util.find_spec("onnxruntime") is not None


def describe_models(settings: Settings) -> str:
    """For the banner and `doctor`; says nothing secret."""
    if why := why_disabled(settings):
        return why
    embedded = "embedded, loading in the background" if has_embedded_models() else "the embedded ones are not installed"
    if not has_provider(settings):
        return f"{embedded}; degraded: set OPENAI_API_KEY or OPENAI_BASE_URL for larger ones"
    host = urlsplit(provider_url(settings)).hostname
    return f"{settings.ai_model} at {host}, then {embedded}"


def _embedded(settings: Settings, *, shared: bool) -> EmbeddedModels | SharedModels | None:
    if not has_embedded_models():
        return None
    return SharedModels(settings.chatcore_home) if shared else EmbeddedModels(settings.chatcore_home, shared=True)


def _rungs(settings: Settings, embedded: Endpoint | None, metrics: Metrics) -> Sequence[Rung]:
    rungs = []
    if has_provider(settings):
        endpoint = Configured(provider_url(settings), settings.openai_api_key.get_secret_value())
        names = ModelNames(settings.ai_model, settings.ai_embedding_model, MODERATION_MODEL)
        rungs.append(_rung(_provider(settings), endpoint, names, metrics, metered=True))
    if embedded is not None:
        names = ModelNames(EMBEDDED_CHAT, EMBEDDED_SPACE, EMBEDDED_MODERATION)
        rungs.append(_rung("embedded", embedded, names, metrics, on_this_machine=True))
    return rungs


def _rung(
    provider: Provider,
    endpoint: Endpoint,
    names: ModelNames,
    metrics: Metrics,
    *,
    metered: bool = False,
    on_this_machine: bool = False,
) -> Rung:
    def changed(is_open: bool) -> None:
        (metrics.ai_breaker_open.inc if is_open else metrics.ai_breaker_open.dec)()

    breaker = Breaker(time.monotonic, changed=changed)
    return Rung(provider, endpoint, names, breaker, time.monotonic, metered=metered, on_this_machine=on_this_machine)


def provider_url(settings: Settings) -> str:
    return settings.openai_base_url.rstrip("/") or OPENAI_URL


def _provider(settings: Settings) -> Provider:
    return "openai" if urlsplit(provider_url(settings)).hostname == "api.openai.com" else "compatible"
