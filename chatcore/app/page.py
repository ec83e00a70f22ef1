"""The chat page of this server: what it must know before anybody has signed in."""

from typing import Any
from urllib.parse import urlsplit

from chatcore import __version__
from chatcore.logs import get_logger
from chatcore.media.objects import StoreDown
from chatcore.media.service import Media
from chatcore.settings import Settings
from chatcore.transport.pages import Pages

log = get_logger("app")


async def pages(settings: Settings, media: Media) -> Pages:
    return Pages(settings.web_libraries, page_facts(settings), media_origin=await link_origin(media))


async def link_origin(media: Media) -> str:
    """Where links to pictures and files lead, which the page's policy must allow; empty where the server hands them out
    itself. A store that cannot make links now costs the page its pictures until the next start, and is logged."""
    try:
        link = await media.sample_link()
    except StoreDown as error:
        log.warning("media_links_unknown", error=type(error.__cause__ or error).__name__)
        return ""
    parts = urlsplit(link or "")
    return f"{parts.scheme}://{parts.netloc}" if link else ""


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
