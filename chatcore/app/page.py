"""The chat page of this server: what it must know before anybody has signed in."""

from typing import Any

from chatcore import __version__
from chatcore.settings import Settings
from chatcore.transport.pages import Pages


def pages(settings: Settings) -> Pages:
    return Pages(settings.web_libraries, page_facts(settings))


def page_facts(settings: Settings) -> dict[str, Any]:
    """Nothing secret: this stands in the page for anybody who can reach the server."""
    return {
        "version": __version__,
        "localAccounts": settings.has_local_accounts,
        "devTokens": settings.dev_tokens,
        "maxFileSize": settings.max_file_size,
        "issuer": settings.clerk_jwt_issuer or settings.oidc_issuer,
        "clerkPublishableKey": settings.clerk_publishable_key,
    }
