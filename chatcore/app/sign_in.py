"""Whose tokens are believed, as the settings say."""

from chatcore.app.keys import Keys
from chatcore.identity.accounts import LocalAccounts
from chatcore.identity.records import IdentityStore
from chatcore.identity.service import Identity
from chatcore.identity.tokens import Issuer, JwksVerifier, LocalIssuer, OneOf, TokenVerifier
from chatcore.settings import DEVELOPMENT_ISSUER, Settings


def local_issuer(settings: Settings, keys: Keys) -> LocalIssuer | None:
    if not settings.has_local_accounts:
        return None
    return LocalIssuer(keys.local_issuer, issuer=DEVELOPMENT_ISSUER, development_tokens=settings.dev_tokens)


def local_accounts(people: IdentityStore, issuer: LocalIssuer | None, identity: Identity) -> LocalAccounts | None:
    if issuer is None:
        return None
    return LocalAccounts(people, issuer, ended=identity.end_all_sessions, closed=identity.deactivate)


def verifier(settings: Settings, local: LocalIssuer | None) -> TokenVerifier:
    """The local issuer, Clerk or another OpenID Connect provider; several are told apart by `iss`."""
    verifiers: dict[str, Issuer] = {local.issuer: local} if local is not None else {}
    outside = settings.clerk_jwt_issuer or settings.oidc_issuer
    if outside:
        issuer = outside.rstrip("/") if settings.clerk_jwt_issuer else outside
        verifiers[issuer] = JwksVerifier(
            issuer,
            audience="" if settings.clerk_jwt_issuer else settings.oidc_audience,
            authorized_parties=settings.authorized_parties or settings.allowed_origins or (settings.origin,),
            roles_claim=settings.roles_claim,
            jwks_url=f"{issuer}/.well-known/jwks.json" if settings.clerk_jwt_issuer else None,
            allow_http=not settings.production,
        )
    return OneOf(verifiers)
