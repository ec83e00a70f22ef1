"""Every setting of chatcore, read once. The only module that looks at the environment.

`.env.example` and the table of the README are made from the field descriptions (`python -m chatcore describe`).
"""

import ipaddress
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import parse_qs, urlsplit

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

Environment = Literal["development", "production"]
OriginList = Annotated[tuple[str, ...], NoDecode]
DEVELOPMENT_ISSUER = "chatcore-local"
DEFAULT_PORT = 3001
_REDIS_FILES = frozenset(("ssl_ca_certs", "ssl_certfile", "ssl_keyfile"))
_PLACEHOLDERS = ("your_", "changeme", "change_me", "example", "secret", "password")


class BadSettings(Exception):
    """The server must not start like this. Lists every problem at once and never repeats a value."""

    def __init__(self, problems: list[str]):
        self.problems = problems
        super().__init__("\n".join(f"  - {problem}" for problem in problems))


def platform_data_folder() -> Path:
    """Where this system keeps a user's application data (XDG on Linux)."""
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "chatcore"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", str(Path.home() / "AppData" / "Local"))) / "chatcore"
    return Path(os.environ.get("XDG_DATA_HOME", str(Path.home() / ".local" / "share"))) / "chatcore"


def platform_cache_folder() -> Path:
    """Where this system keeps what can be fetched again (XDG on Linux)."""
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "chatcore"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", str(Path.home() / "AppData" / "Local"))) / "chatcore" / "cache"
    return Path(os.environ.get("XDG_CACHE_HOME", str(Path.home() / ".cache"))) / "chatcore"


class Settings(BaseSettings):
    """All settings with their defaults. Variables are the field names in capitals."""

    model_config = SettingsConfigDict(
        env_file=".env",
        extra="ignore",
        hide_input_in_errors=True,
        frozen=True,
        populate_by_name=True,
        env_ignore_empty=True,
    )

    chatcore_env: Environment = Field(
        "development",
        description="`production` refuses dev tokens, weak or missing secrets, `*` origins and `RATE_LIMITS=off`",
    )
    host: str = Field("", description="address to listen on; empty: `127.0.0.1`, in production `0.0.0.0`")
    port: int = Field(DEFAULT_PORT, ge=0, le=65_535, description="port to listen on; 0 takes a free one")
    public_url: str = Field("", description="how clients reach the server, for invitation links; empty: host and port")
    chatcore_home: Path = Field(
        default_factory=platform_data_folder,
        description="embedded database, local keys and `runtime.json`; empty: the platform's user data folder",
    )

    web_libraries: Path = Field(
        default_factory=lambda: platform_cache_folder() / "web",
        description="libraries of the page at `/`, fetched by `python -m chatcore web install`; "
        "empty: in the platform's cache folder",
    )

    mongodb_uri: SecretStr = Field(
        SecretStr(""), description="a MongoDB 7+ replica set or Atlas; empty: the embedded database"
    )
    database_password: SecretStr = Field(SecretStr(""), description="replaces `<db_password>` in `MONGODB_URI`")
    database_name: str = Field(
        "RealTimeChatAiApp", pattern=r"^[A-Za-z0-9_-]{1,38}\z", description="name of the database"
    )
    mongodb_max_pool_size: int = Field(10, ge=1, le=500, description="connections to the database at most")

    redis_url: SecretStr = Field(
        SecretStr(""),
        description="`redis://` or `rediss://`, for several server processes; empty: one process. "
        "An own CA: `rediss://...?ssl_ca_certs=FILE`",
    )
    workers: int = Field(1, ge=1, le=64, description="server processes on this port, with one supervisor")

    clerk_jwt_issuer: str = Field("", description="issuer URL of a Clerk instance; its keys are read by JWKS")
    clerk_secret_key: SecretStr = Field(
        SecretStr(""), description="Clerk's secret key; read, but not used yet: names come from claims and webhooks"
    )
    clerk_publishable_key: str = Field(
        "", description="Clerk's publishable key: the page then names the Clerk instance to sign in with"
    )
    clerk_webhook_secret: SecretStr = Field(
        SecretStr(""), description="`whsec_...`; signature of Clerk's webhooks on `/api/webhooks/clerk`"
    )
    oidc_issuer: str = Field("", description="issuer URL of any OpenID Connect provider")
    oidc_audience: str = Field("", description="the `aud` that its tokens must carry; empty: not looked at")
    authorized_parties: OriginList = Field(
        (), description="allowed `azp`, comma-separated; empty: `ALLOWED_ORIGINS`, else this server's own origin"
    )
    roles_claim: str = Field("roles", description="claim in which an issuer's token names server roles")
    local_accounts: bool | None = Field(
        None, description="names and passwords kept here; empty: on when no other issuer is set"
    )
    socket_auth_policy: Literal["token", "session"] = Field(
        "token",
        description="`token`: a socket lives as long as its token; `session`: as the issuer's session, at most 12 h",
    )

    encryption_secret_key: SecretStr = Field(
        SecretStr(""),
        description="32 bytes in base64 (the key), or a passphrase of 32 or more characters; "
        "empty in development: kept in `CHATCORE_HOME`",
    )
    master_keys: SecretStr = Field(
        SecretStr(""),
        description="`k2:<base64>,k1:<base64>`: the first wraps, all unwrap; instead of `ENCRYPTION_SECRET_KEY`",
    )
    kms_key_id: str = Field(
        "", description="an AWS KMS key that seals the first master key; the two variables above then only unwrap"
    )
    kms_endpoint_url: str = Field("", description="another server that speaks KMS; empty: AWS")
    deleted_retention_days: int = Field(
        30, ge=0, le=3650, description="deleted content stays sealed for moderation this long, then is erased"
    )

    ai: bool = Field(True, description="`off` makes no call to any model, and starts none")
    openai_api_key: SecretStr = Field(
        SecretStr(""), description="key of an OpenAI-compatible provider; empty: the embedded models"
    )
    openai_base_url: str = Field(
        "", description="its base URL, ending in `/v1`; empty with a key: the OpenAI API; set without a key: sent none"
    )
    ai_model: str = Field("gpt-4o-mini", description="chat model of the provider")
    ai_embedding_model: str = Field(
        "text-embedding-3-small", description="embedding model of the provider; a change starts a back-fill"
    )
    ai_timeout_seconds: float = Field(
        8.0, gt=0, le=120, description="one AI answer takes at most this long, fallback included"
    )
    ai_daily_tokens: int | None = Field(None, ge=0, description="tokens a day in all at a provider; empty: no bound")
    ai_daily_tokens_per_user: int | None = Field(None, ge=0, description="the same for each user")
    ai_decision_days: int = Field(
        30, ge=1, le=3650, description="decisions of AI, with their sealed input and output, are kept this long"
    )
    moderation_policy: Literal["fast", "strict", "off"] = Field(
        "fast",
        description="`fast` decides after the commit but for the first tier, `strict` waits; a group may be stricter",
    )
    moderation_sample_share: float = Field(
        0.002, ge=0, le=1, description="share of unflagged messages that people review too, to learn what is missed"
    )
    vector_index_name: str = Field("message_vector_index", description="name of the Atlas vector index")
    vectors_in_clear: bool = Field(
        False, description="keep embeddings unsealed, as `$vectorSearch` needs; they reveal the text"
    )

    s3_bucket_name: str = Field("", description="keeps images and files; empty: a folder of `CHATCORE_HOME`")
    aws_access_key_id: SecretStr = Field(
        SecretStr(""), description="for S3; empty: boto3 looks for a role or profile, which is better"
    )
    aws_secret_access_key: SecretStr = Field(SecretStr(""), description="belongs to `AWS_ACCESS_KEY_ID`")
    aws_default_region: str = Field("us-east-1", description="where the bucket is")
    aws_endpoint_url: str = Field("", description="another server that speaks S3, such as MinIO; empty: AWS")
    s3_encryption: Literal["aws:kms", "AES256", "off"] = Field(
        "aws:kms", description="what S3 itself is told to encrypt with; `off`: the bucket's default holds"
    )
    s3_kms_key_id: str = Field("", description="key for `aws:kms`; empty: the account's own key for S3")
    max_file_size: int = Field(
        10 * 1024 * 1024, ge=1, le=256 * 1024 * 1024, description="bytes of one image or file at most"
    )
    media_sealing: bool = Field(
        True, description="`off`: images and files are stored as they are, and S3 hands them out by links of 60 s"
    )
    clamd_socket: str = Field(
        "", description="ClamAV's daemon, as path of its socket or `host:port`; empty: uploads are not scanned"
    )

    push_payload: Literal["titles", "bare", "off"] = Field(
        "titles",
        description="what notices to browsers hold, encrypted for each: `titles` the names of group and sender, "
        "`bare` nothing; `off`: none are sent",
    )
    push_contact: str = Field(
        "", description="whom push services may write to, `mailto:...` or an https URL; empty: an https `PUBLIC_URL`"
    )

    allowed_origins: OriginList = Field(
        (), description="browser origins for REST, comma-separated; empty: same origin only"
    )
    socket_io_cors_origins: OriginList = Field(
        (), description="browser origins for Socket.IO; empty: `ALLOWED_ORIGINS`"
    )
    socket_io_ping_interval: int = Field(25_000, ge=100, le=300_000, description="milliseconds between heartbeats")
    socket_io_ping_timeout: int = Field(60_000, ge=100, le=300_000, description="milliseconds to wait for the answer")
    max_group_members: int = Field(1_000, ge=2, le=100_000, description="members of one group at most")

    trusted_proxies: OriginList = Field(
        (), description="addresses or networks whose `X-Forwarded-*` headers are believed, comma-separated"
    )
    metrics_port: int | None = Field(
        None,
        ge=0,
        le=65_535,
        description="serve `/metrics` on this port, loopback only; worker n of several on the n-th port from it",
    )
    metrics_token: SecretStr = Field(
        SecretStr(""), description="serve `/metrics` on the main port to this bearer token"
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="least severe log line written")
    log_format: Literal["auto", "json", "console"] = Field(
        "auto", description="`auto`: console on a terminal, else JSON"
    )
    rate_limits: bool = Field(True, description="`off` only outside production, for load tests")

    # taking over the original's data
    original_mongodb_uri: SecretStr = Field(
        SecretStr(""), description="database of the original Node.js service, for `python -m chatcore migrate-original`"
    )
    original_database_name: str = Field("RealTimeChatAiApp", description="its name there")
    original_encryption_secret_key: SecretStr = Field(
        SecretStr(""), description="the `ENCRYPTION_SECRET_KEY` under which the original wrote its messages"
    )

    # clients
    chatcore_url: str = Field(
        f"http://127.0.0.1:{DEFAULT_PORT}", description="the server that command-line tools talk to"
    )
    chatcore_token: SecretStr = Field(SecretStr(""), description="their token there; empty: `--as NAME` asks for one")

    # workbench
    chatcore_data_dir: Path | None = Field(
        None, description="folder of public labelled data; empty: only the small corpus inside the package"
    )
    chatcore_runs: Path = Field(Path("runs"), description="where `python -m pipelines` keeps runs and reports")
    chatcore_canaries: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="texts planted in conversations, separated by commas: a run that shows one fails"
    )
    pipelines_cluster: str = Field(
        "",
        description="Dask scheduler for jobs with `executor: dask`: `tls://host:8786`",
    )
    pipelines_tls_dir: Path | None = Field(
        None,
        description="`ca.crt`, `tls.crt` and `tls.key` of that cluster, from `python -m pipelines certificates`; "
        "who holds them may run code in it",
    )
    pipelines_plain_tcp: bool = Field(
        False,
        description="let that cluster be at `tcp://127.0.0.1`, where everybody with an account on this machine can run "
        "code as you",
    )

    @field_validator(
        "authorized_parties",
        "allowed_origins",
        "socket_io_cors_origins",
        "trusted_proxies",
        "chatcore_canaries",
        mode="before",
    )
    @classmethod
    def _split(cls, value: object) -> object:
        return (
            tuple(part.strip().rstrip("/") for part in value.split(",") if part.strip())
            if isinstance(value, str)
            else value
        )

    @property
    def production(self) -> bool:
        return self.chatcore_env == "production"

    @property
    def listen_host(self) -> str:
        return self.host or ("0.0.0.0" if self.production else "127.0.0.1")  # noqa: S104 - a container is reached from outside

    @property
    def on_loopback(self) -> bool:
        return _is_loopback(self.listen_host)

    @property
    def origin(self) -> str:
        """Where people reach this server, as far as the settings tell."""
        return self.public_url.rstrip("/") or f"http://{self.listen_host}:{self.port}"

    @property
    def embedded_database(self) -> bool:
        return not self.mongodb_uri.get_secret_value()

    @property
    def has_local_accounts(self) -> bool:
        return (
            self.local_accounts if self.local_accounts is not None else not (self.clerk_jwt_issuer or self.oidc_issuer)
        )

    @property
    def dev_tokens(self) -> bool:
        """Tokens for the asking: in development, on loopback, with the local issuer, and nowhere else."""
        return not self.production and self.on_loopback and self.has_local_accounts

    @property
    def socket_origins(self) -> tuple[str, ...]:
        return self.socket_io_cors_origins or self.allowed_origins

    def problems(self) -> list[str]:
        """What forbids a start, beyond the form of the values."""
        found: list[str] = []
        key, ring = self.encryption_secret_key.get_secret_value(), self.master_keys.get_secret_value()
        if key and ring:
            found.append("ENCRYPTION_SECRET_KEY and MASTER_KEYS are both set; keep one")
        if key and len(key) < 32:
            found.append(
                "ENCRYPTION_SECRET_KEY is too short: 32 bytes in base64, or a passphrase of 32 or more characters"
            )
        if "<db_password>" in self.mongodb_uri.get_secret_value() and not self.database_password.get_secret_value():
            found.append("MONGODB_URI asks for <db_password>, but DATABASE_PASSWORD is not set")
        for name, url in (("CLERK_JWT_ISSUER", self.clerk_jwt_issuer), ("OIDC_ISSUER", self.oidc_issuer)):
            if (
                url
                and not url.startswith("https://")
                and not (not self.production and url.startswith("http://127.0.0.1"))
            ):
                found.append(f"{name} must be an https URL")
        if self.clerk_jwt_issuer and self.oidc_issuer:
            found.append("CLERK_JWT_ISSUER and OIDC_ISSUER are both set; one issuer serves at a time")
        if not self.has_local_accounts and not (self.clerk_jwt_issuer or self.oidc_issuer):
            found.append(
                "LOCAL_ACCOUNTS is off and neither CLERK_JWT_ISSUER nor OIDC_ISSUER is set: nobody could sign in"
            )
        if self.push_contact and not self.push_contact.startswith(("mailto:", "https://")):
            found.append("PUSH_CONTACT must begin with mailto: or https://")
        found += self._redis_problems()
        found += self._storage_problems()
        found += self._proxy_problems()
        return found + (self._production_problems() if self.production else [])

    def _proxy_problems(self) -> list[str]:
        try:
            networks = [ipaddress.ip_network(proxy, strict=False) for proxy in self.trusted_proxies]
        except ValueError:
            return ["TRUSTED_PROXIES must list IP addresses or networks"]
        if any(network.prefixlen == 0 for network in networks):
            return ["TRUSTED_PROXIES must not be everybody: then each client chooses its own address"]
        return []

    def _storage_problems(self) -> list[str]:
        found: list[str] = []
        if bool(self.aws_access_key_id.get_secret_value()) != bool(self.aws_secret_access_key.get_secret_value()):
            found.append("AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY belong together; set both or neither")
        if self.aws_endpoint_url and not self.aws_endpoint_url.startswith(("http://", "https://")):
            found.append("AWS_ENDPOINT_URL must be an http or https URL")
        if self.production and not self.media_sealing and (not self.s3_bucket_name or self.s3_encryption == "off"):
            found.append("MEDIA_SEALING=off needs S3 with S3_ENCRYPTION in production: nothing else encrypts uploads")
        return found

    def _redis_problems(self) -> list[str]:
        url = self.redis_url.get_secret_value()
        if not url:
            return []
        parts = urlsplit(url)
        if parts.scheme not in ("redis", "rediss") or not parts.hostname:
            return ["REDIS_URL must read redis://... or rediss://..."]
        if self.production and parts.scheme == "redis" and not parts.password and not _is_loopback(parts.hostname):
            return ["REDIS_URL names another machine without a password; add one, best with rediss://"]
        files = parse_qs(parts.query, keep_blank_values=True)
        if files.keys() - _REDIS_FILES or (files and parts.scheme == "redis"):
            return [f"REDIS_URL takes no options but, with rediss://, {', '.join(sorted(_REDIS_FILES))}"]
        missing = sorted(name for name, paths in files.items() if not all(Path(path).is_file() for path in paths))
        return [f"REDIS_URL names no file as {', '.join(missing)}"] if missing else []

    def _production_problems(self) -> list[str]:
        found: list[str] = []
        key, ring = self.encryption_secret_key.get_secret_value(), self.master_keys.get_secret_value()
        if not key and not ring and not self.kms_key_id:
            found.append("ENCRYPTION_SECRET_KEY (or MASTER_KEYS or KMS_KEY_ID) must be set in production")
        if key and (key.lower().startswith(_PLACEHOLDERS) or len(set(key)) < 10):
            found.append("ENCRYPTION_SECRET_KEY looks like a placeholder; make one with `openssl rand -base64 32`")
        if "*" in self.allowed_origins or "*" in self.socket_io_cors_origins:
            found.append("ALLOWED_ORIGINS and SOCKET_IO_CORS_ORIGINS must list origins; `*` is refused in production")
        if not self.rate_limits:
            found.append("RATE_LIMITS=off is refused in production")
        return found


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def named_variables(names: Iterable[str]) -> dict[str, str]:
    """Those of these variables that are set: for specs that name variables themselves, and for child processes."""
    return {name: os.environ[name] for name in names if name in os.environ}


def load_settings(**overrides: object) -> Settings:
    """Read the environment and `.env`. Raises BadSettings that names every problem at once."""
    try:
        settings = Settings(**overrides)  # type: ignore[arg-type]
    except ValidationError as error:
        raise BadSettings([_plain(item["loc"], item["msg"]) for item in error.errors()]) from None
    if problems := settings.problems():
        raise BadSettings(problems)
    return settings


def _plain(location: tuple[int | str, ...], message: str) -> str:
    name = str(location[0]).upper() if location else "settings"
    return f"{name}: {message[:1].lower()}{message[1:]}"
