"""Encryption at rest, mode `server`: this service holds the keys and can read what it stores.

Content is sealed with AES-256-GCM under one key per group; group keys are wrapped by the settings' key-encryption key.
Deleting a group destroys its keys, and with them everything sealed under them (shredding).
"""
