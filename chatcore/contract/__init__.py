"""Every shape on the wire: commands, replies, events, the error payload. Pydantic, no I/O."""
