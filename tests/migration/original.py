"""A database in the form in which the original service left it."""

import hashlib
import json
import os
from datetime import UTC, datetime, timedelta
from typing import Any

from bson import ObjectId
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.padding import PKCS7

SECRET = "an-original-secret-of-32-characters"
BEGAN = datetime(2024, 3, 1, 9, tzinfo=UTC)


def encrypted(text: str, key: bytes) -> dict[str, str]:
    iv = os.urandom(16)
    padder = PKCS7(128).padder()
    padded = padder.update(text.encode()) + padder.finalize()
    encryptor = Cipher(algorithms.AES(key), modes.CBC(iv)).encryptor()
    return {"encrypted": (encryptor.update(padded) + encryptor.finalize()).hex(), "iv": iv.hex()}


def by_group(text: str, group_id: ObjectId, secret: str = SECRET) -> str:
    key = hashlib.sha256(f"{group_id}{secret}".encode()).hexdigest()[:16].encode()
    return json.dumps(encrypted(text, key) | {"groupId": str(group_id)})


def by_secret(text: str) -> str:
    return json.dumps(encrypted(text, SECRET.encode()[:16]))


def user(user_id: str, **more: Any) -> dict[str, Any]:
    return {
        "clerkId": user_id,
        "email": f"{user_id}@example.org",
        "firstName": user_id.title(),
        "lastName": "Original",
        "isActive": True,
        "createdAt": BEGAN,
        "updatedAt": BEGAN,
    } | more


def group(*members: str, created_by: str, **more: Any) -> dict[str, Any]:
    return {
        "_id": ObjectId(),
        "name": "Harbour",
        "description": "About boats",
        "isActive": True,
        "members": [{"userId": member, "role": "member", "joinedAt": BEGAN} for member in members],
        "createdBy": created_by,
        "createdAt": BEGAN,
        "updatedAt": BEGAN,
    } | more


def message(group_id: ObjectId, number: int, sender: str, content: str, **more: Any) -> dict[str, Any]:
    at = BEGAN + timedelta(minutes=number)
    stamp = int(at.timestamp()).to_bytes(4, "big") + number.to_bytes(8, "big")
    return {
        "_id": ObjectId(stamp),
        "groupId": group_id,
        "senderId": sender,
        "content": content,
        "type": "text",
        "isDeleted": False,
        "readBy": [],
        "createdAt": at,
        "updatedAt": at,
        "vectorEmbedding": [0.1] * 8,
    } | more


def read(user_id: str, minutes: int) -> dict[str, Any]:
    return {"userId": user_id, "readAt": BEGAN + timedelta(minutes=minutes)}
