"""The key-encryption key in AWS KMS: what is kept beside the data opens only with the right to use the KMS key."""

from dataclasses import dataclass
from typing import Any

from chatcore.errors import Unavailable
from chatcore.vault.master import KEY_BYTES

KID = "kms"
CONTEXT = {"purpose": "chatcore group keys"}
ATTEMPTS, CONNECT_SECONDS, READ_SECONDS = 3, 3, 5


@dataclass(frozen=True)
class KmsPlace:
    """Which key, and how it is reached. Empty access keys leave finding them to boto3 (roles, profiles).

    `endpoint` is another server that speaks KMS; empty: AWS.
    """

    key_id: str
    region: str
    endpoint: str = ""
    access_key_id: str = ""
    secret_access_key: str = ""


class KmsWrapper:
    """Calls block for up to about 20 s: for a thread, once at each start. Raises Unavailable that names what to do."""

    def __init__(self, place: KmsPlace):
        self._key_id = place.key_id
        self._client = _client(place)

    def fresh(self) -> tuple[bytes, bytes]:
        """A new master key of 32 bytes, and the same as KMS sealed it."""
        made = self._asked("generate_data_key", KeyId=self._key_id, NumberOfBytes=KEY_BYTES, EncryptionContext=CONTEXT)
        return made["Plaintext"], made["CiphertextBlob"]

    def open(self, sealed: bytes) -> bytes:
        opened = self._asked("decrypt", KeyId=self._key_id, CiphertextBlob=sealed, EncryptionContext=CONTEXT)
        return bytes(opened["Plaintext"])

    def _asked(self, operation: str, **parameters: Any) -> dict[str, Any]:
        from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415 - 30 MB, only where KMS is used

        try:
            return dict(getattr(self._client, operation)(**parameters))
        except ClientError as error:
            code = error.response.get("Error", {}).get("Code", "unknown")
            raise Unavailable(
                f"AWS KMS refused {operation} with {code}; KMS_KEY_ID must name a key that this server's role may use "
                "for kms:GenerateDataKey and kms:Decrypt, and the one that was used before"
            ) from None
        except BotoCoreError as error:
            raise Unavailable(f"AWS KMS was not reached for {operation}: {type(error).__name__}") from None


def _client(place: KmsPlace) -> Any:
    import boto3  # noqa: PLC0415 - 30 MB, only where KMS is used
    from botocore.config import Config  # noqa: PLC0415

    return boto3.client(
        "kms",
        region_name=place.region,
        endpoint_url=place.endpoint or None,
        aws_access_key_id=place.access_key_id or None,
        aws_secret_access_key=place.secret_access_key or None,
        config=Config(
            retries={"max_attempts": ATTEMPTS, "mode": "standard"},
            connect_timeout=CONNECT_SECONDS,
            read_timeout=READ_SECONDS,
        ),
    )
