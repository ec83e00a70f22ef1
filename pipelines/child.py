"""The process of one notebook: `python -m pipelines.child REQUEST SHORT`. Progress and the last word are lines of JSON.

Exit status 0: every cell ran. 1: a cell failed, ran too long, or the kernel died; the last line tells which.
"""

import json
import os
import sys
import threading
import time
from pathlib import Path

# Imported by libraries in passing, and used by nothing here: clouds that papermill could read from, and a grammar of
# addresses that takes longer to build than all the rest together. Absent, they are left out.
NOT_NEEDED = ("adlfs", "azure", "boto3", "gcsfs", "github", "pyarrow", "rfc3987_syntax")


def say(**fields: object) -> None:
    sys.stdout.write(json.dumps(fields) + "\n")
    sys.stdout.flush()


def end_with(parent: int) -> None:
    """A service that is killed cannot end its runs, so they end themselves; the kernel watches us in the same way."""
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(130)


def main() -> int:
    threading.Thread(target=end_with, args=(os.getppid(),), daemon=True).start()
    sys.modules.update(dict.fromkeys(NOT_NEEDED))  # type: ignore[arg-type]
    from pipelines.engine import execute  # noqa: PLC0415 - after what it need not import

    request = json.loads(Path(sys.argv[1]).read_text("utf-8"))
    error, kind = execute(request, Path(sys.argv[2]), lambda done, total: say(cells=done, of=total))
    if error:
        say(error=error, kind=kind)
    return 1 if error else 0


if __name__ == "__main__":
    sys.exit(main())
