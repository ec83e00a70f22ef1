"""`.env.example` and the table of settings in the README, from the fields of Settings."""

from collections.abc import Iterator
from typing import Any, Final

from pydantic import SecretStr
from pydantic.fields import FieldInfo

from chatcore.settings import Settings

BEGIN: Final = "<!-- settings:begin -->"
END: Final = "<!-- settings:end -->"
# Sections by their first field, in the order of the class.
SECTIONS: Final = {
    "chatcore_env": "The server",
    "mongodb_uri": "Database",
    "clerk_jwt_issuer": "Signing in",
    "encryption_secret_key": "Encryption",
    "allowed_origins": "Clients and limits",
    "trusted_proxies": "Operation",
    "chatcore_url": "Command-line tools",
    "chatcore_data_dir": "Workbench",
}


def settings() -> Iterator[tuple[str, FieldInfo]]:
    """Variable and field, in the order of the class."""
    for name, field in Settings.model_fields.items():
        yield name.upper(), field


def env_example() -> str:
    lines = [
        "# Every setting with its default; all may stay as they are on a fresh machine. Copy this file to .env and",
        "# change what you need. Made by `python -m chatcore describe`; do not edit.",
    ]
    for name, field in settings():
        if section := SECTIONS.get(name.lower()):
            lines += ["", f"# --- {section}"]
        line = f"{name}={_default(field)}"
        lines += ["", f"# {_capital(field.description or '')}.", line if _default(field) else f"# {line}"]
    return "\n".join(lines) + "\n"


def settings_table() -> str:
    rows = ["| variable | default | meaning |", "|---|---|---|"]
    for name, field in settings():
        default = _default(field)
        rows.append(f"| `{name}` | {f'`{default}`' if default else '-'} | {_cell(field.description or '')} |")
    return "\n".join(rows) + "\n"


def with_table(readme: str) -> str:
    """The README with the table between its markers; at the end where there are none."""
    if BEGIN not in readme or END not in readme:
        readme = f"{readme.rstrip()}\n\n## Settings\n\n{BEGIN}\n{END}\n"
    before, rest = readme.split(BEGIN, 1)
    _, after = rest.split(END, 1)
    return f"{before}{BEGIN}\n{settings_table()}{END}{after}"


def _default(field: FieldInfo) -> str:
    """As it would be written in `.env`; empty where there is none, or where it depends on the machine."""
    value: Any = None if field.default_factory is not None else field.default
    if isinstance(value, SecretStr):
        value = value.get_secret_value()
    if value is None or value == ():
        return ""
    return {True: "on", False: "off"}[value] if isinstance(value, bool) else str(value)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:] if text[:1].isalpha() else text
