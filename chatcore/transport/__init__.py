"""Sockets and HTTP: what carries commands in and events out."""

import sys

# engineio imports these where they happen to be installed, for clients and another web server: 8 MB that nobody uses.
_UNUSED = [name for name in ("requests", "websocket", "tornado") if name not in sys.modules]
sys.modules |= dict.fromkeys(_UNUSED)  # type: ignore[arg-type]  # None makes an import fail
import engineio  # noqa: E402, F401

for _name in _UNUSED:
    del sys.modules[_name]
