"""How a person types this program here."""

import shutil
import sys
from pathlib import Path


def typed() -> str:
    """`python -m chatcore` where the shell's `python` is this one, else with its path, shortened where it can be.

    Links are not followed: a virtual environment's `python` is a link to one that does not know chatcore.
    """
    here = Path(sys.executable)
    if (found := shutil.which("python")) and Path(found).absolute().parent == here.parent:
        return "python -m chatcore"
    try:
        return f"{here.relative_to(Path.cwd())} -m chatcore"
    except ValueError:
        return f"{here} -m chatcore"
