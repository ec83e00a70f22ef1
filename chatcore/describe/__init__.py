"""References made from the command table: OpenAPI, AsyncAPI, JSON Schema, TypeScript, pages, settings.

`documents` serves the finished files and imports none of the generators, so a server does not carry them in memory.
"""
