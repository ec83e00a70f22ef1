"""Small models that run without a key and without a graphics card, served in the form of OpenAI's HTTP API.

`python -m chatcore.models.server` is a process of its own; the server never imports it. Nothing here knows the
server: text comes in, values go out. `first_tier` alone is light enough to be imported by the server itself.
"""
