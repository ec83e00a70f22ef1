"""Small models that run without a key and without a graphics card, served in the form of OpenAI's HTTP API.

`python -m chatcore.models.server` is a process of its own; the server never imports it. Nothing here knows the
server: text comes in, values go out. `first_tier` alone is light enough to be imported by the server itself.
"""

import os

# The matrices here are small: more threads than one only wait for each other in circles, on the chat's cores.
# Measured on two: 41 ms of CPU time for a moderation instead of 20. numpy's library reads this when it is loaded.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # noqa: TID251 - written for a library
