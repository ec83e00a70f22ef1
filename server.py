"""Runs the chat server: `python server.py`."""

import sys

from chatcore.cli.serve import serve
from chatcore.settings import BadSettings, load_settings

if __name__ == "__main__":
    try:
        settings = load_settings()
    except BadSettings as refused:
        sys.exit(f"chatcore did not start. Put these right:\n{refused}")
    sys.exit(serve(settings))
