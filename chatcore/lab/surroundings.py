"""What pipelines take from the settings and the environment, and what they hand on to a notebook's process."""

import re
from collections.abc import Iterable

from pydantic import SecretStr

from chatcore.errors import ChatError
from chatcore.settings import BadSettings, Settings, load_settings, named_variables

__all__ = ["BadSettings", "ChatError", "Settings", "VariableNotSet", "expand", "notebook_environment", "settings"]

# What a kernel needs to start and to find its libraries. Credentials of the database, keys and tokens of the server
# are not among it: a notebook reads exports and the server's API.
HARMLESS = (
    "PATH", "HOME", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR", "USER", "VIRTUAL_ENV", "PYTHONPATH", "PYTHONHASHSEED",
    "CONDA_PREFIX", "LD_LIBRARY_PATH", "SSL_CERT_FILE", "XDG_CACHE_HOME", "XDG_DATA_HOME", "JUPYTER_PATH",
    "COVERAGE_PROCESS_START", "COVERAGE_PROCESS_CONFIG",
)  # fmt: skip
NAME = re.compile(r"\$([A-Z][A-Z0-9_]*)")


class VariableNotSet(Exception):
    """A spec names a variable of the environment that is not set."""


def settings() -> Settings:
    """Raises BadSettings with every problem."""
    return load_settings()


def notebook_environment(secrets: Iterable[str]) -> dict[str, str]:
    """For the process of a notebook: the harmless variables, the server's address, and the secrets its job names."""
    wanted = list(secrets)
    found = named_variables([*HARMLESS, *wanted])
    if absent := [name for name in wanted if name not in found]:
        raise VariableNotSet(f"the job needs {', '.join(absent)} in the environment")
    ours = settings()
    found["CHATCORE_URL"] = ours.chatcore_url
    if token := ours.chatcore_token.get_secret_value():
        found["CHATCORE_TOKEN"] = token
    if ours.chatcore_data_dir is not None:
        found["CHATCORE_DATA_DIR"] = str(ours.chatcore_data_dir.expanduser().resolve())
    return found


def known_secrets(named: Iterable[str]) -> dict[str, str]:
    """Values that no notebook may show, by the name of their setting or variable: all secrets of the settings, and the
    variables named."""
    ours = settings()
    found = {
        name.upper(): value.get_secret_value()
        for name in type(ours).model_fields
        if isinstance(value := getattr(ours, name), SecretStr)
    }
    return {name: value for name, value in (found | named_variables(list(named))).items() if value}


def marked_texts() -> tuple[str, ...]:
    """Texts that somebody put into conversations to see whether they come out."""
    return settings().chatcore_canaries


def expand(text: str) -> str:
    """`$NAME` replaced by the variable's value. Raises VariableNotSet."""
    names = set(NAME.findall(text))
    values = named_variables(names)
    if absent := sorted(names - set(values)):
        raise VariableNotSet(f'"{text}" needs {", ".join(absent)} in the environment')
    return NAME.sub(lambda match: values[match[1]], text)
