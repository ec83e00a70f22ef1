"""Names of a package that are loaded at their first use: the server, scipy and plots take a second each."""

from collections.abc import Callable, Collection, Mapping
from importlib import import_module
from typing import Any


def lazily(package: str, places: Mapping[str, str], modules: Collection[str] = ()) -> Callable[[str], Any]:
    """The package's `__getattr__`. `places` maps a name to the module inside that has it, `modules` are names of such
    modules themselves."""

    def find(name: str) -> Any:
        if name in modules:
            return import_module(f"{package}.{name}")
        if name not in places:
            raise AttributeError(f"{package} has no {name}")
        return getattr(import_module(f"{package}.{places[name]}"), name)

    return find
