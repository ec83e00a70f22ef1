"""Runs the chat server: `python server.py`, on several cores `python server.py --workers 4`."""

import argparse
import sys

from chatcore.cli.serve import serve
from chatcore.settings import BadSettings, load_settings

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Runs the chat server; all else is set by the environment and .env")
    parser.add_argument("--workers", type=int, metavar="N", help="server processes on this port (WORKERS)")
    workers = parser.parse_args().workers
    try:
        settings = load_settings(**({} if workers is None else {"workers": workers}))
    except BadSettings as refused:
        sys.exit(f"chatcore did not start. Put these right:\n{refused}")
    sys.exit(serve(settings))
