"""Where images and files are kept: S3 where a bucket is named, else a folder beside the database."""

from chatcore.media.clamd import Clamd
from chatcore.media.folder import FolderObjects
from chatcore.media.objects import ObjectStore
from chatcore.media.s3 import S3Objects, S3Place
from chatcore.media.service import Clock, Media
from chatcore.media.store import MongoMediaStore
from chatcore.mongo import Mongo
from chatcore.settings import Settings
from chatcore.vault.service import Vault

FOLDER = "media"


def make_media(settings: Settings, mongo: Mongo, vault: Vault, clock: Clock) -> Media:
    folder = settings.chatcore_home / FOLDER
    return Media(
        store=MongoMediaStore(mongo.database),
        objects=make_objects(settings),
        vault=vault,
        clock=clock,
        spool_folder=folder / "spool",
        max_bytes=settings.max_file_size,
        sealing=settings.media_sealing,
        scanner=Clamd(settings.clamd_socket) if settings.clamd_socket else None,
    )


def make_objects(settings: Settings) -> ObjectStore:
    if not settings.s3_bucket_name:
        return FolderObjects(settings.chatcore_home / FOLDER / "objects")
    return S3Objects(
        S3Place(
            bucket=settings.s3_bucket_name,
            region=settings.aws_default_region,
            endpoint_url=settings.aws_endpoint_url,
            access_key_id=settings.aws_access_key_id.get_secret_value(),
            secret_access_key=settings.aws_secret_access_key.get_secret_value(),
            encryption=settings.s3_encryption,
            kms_key_id=settings.s3_kms_key_id,
        )
    )
