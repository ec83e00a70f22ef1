"""S3 as moto plays it, over a real socket, and able to die."""

import logging
import socket

import boto3
from moto.server import ThreadedMotoServer

from chatcore.media.s3 import Encryption, S3Objects, S3Place

logging.getLogger("werkzeug").setLevel(logging.ERROR)
KEYS = {"aws_access_key_id": "test", "aws_secret_access_key": "test", "region_name": "us-east-1"}


class Bucket:
    """One server; what it holds survives `dies` and `comes_back`, as disks do."""

    NAME = "chatcore-media"

    def __init__(self) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._port = int(probe.getsockname()[1])
        self.url = f"http://127.0.0.1:{self._port}"
        self.comes_back()
        self.client = boto3.client("s3", endpoint_url=self.url, **KEYS)
        self.client.create_bucket(Bucket=self.NAME)
        self.empty()  # what is in it belongs to the process and not to the server

    def comes_back(self) -> None:
        self._server = ThreadedMotoServer(ip_address="127.0.0.1", port=self._port, verbose=False)
        self._server.start()

    def dies(self) -> None:
        self._server.stop()

    def place(self, encryption: Encryption = "aws:kms") -> S3Place:
        return S3Place(self.NAME, "us-east-1", self.url, "test", "test", encryption)

    def objects(self) -> S3Objects:
        return S3Objects(self.place())

    def whole(self) -> list[str]:
        return [each["Key"] for each in self.client.list_objects_v2(Bucket=self.NAME).get("Contents", [])]

    def unfinished(self) -> list[str]:
        return [each["Key"] for each in self.client.list_multipart_uploads(Bucket=self.NAME).get("Uploads", [])]

    def empty(self) -> None:
        for each in self.client.list_multipart_uploads(Bucket=self.NAME).get("Uploads", []):
            self.client.abort_multipart_upload(Bucket=self.NAME, Key=each["Key"], UploadId=each["UploadId"])
        for key in self.whole():
            self.client.delete_object(Bucket=self.NAME, Key=key)
