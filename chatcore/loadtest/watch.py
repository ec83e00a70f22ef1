"""CPU time and memory of the server, its database, its models and the load, where they run on this machine."""

import ipaddress
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import psutil

MIB = 1024 * 1024
MODELS, DATABASE = "chatcore.models.server", "secantusd"


def is_loopback(url: str) -> bool:
    """Whether every address of the URL's host is this machine's loopback."""
    host = urlsplit(url).hostname or ""
    try:
        found = {entry[4][0] for entry in socket.getaddrinfo(host, None)}
    except OSError:
        return False
    return bool(found) and all(ipaddress.ip_address(str(address).split("%")[0]).is_loopback for address in found)


def find_server(url: str) -> psutil.Process | None:
    """The process that listens on the URL's port here; None for another machine or another user's process."""
    address = urlsplit(url)
    port = address.port or (443 if address.scheme == "https" else 80)
    if not is_loopback(url):
        return None
    for process in psutil.process_iter():
        try:
            for connection in process.net_connections("tcp"):
                if connection.status == psutil.CONN_LISTEN and connection.laddr.port == port:
                    return process
        except psutil.Error:
            continue
    return None


@dataclass(frozen=True, slots=True)
class Usage:
    """CPU seconds since the process began, and bytes of resident memory, of one or several processes."""

    cpu_seconds: float = 0.0
    rss_bytes: int = 0

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(self.cpu_seconds + other.cpu_seconds, self.rss_bytes + other.rss_bytes)


class Watch:
    """Reads the processes again and again: `server`, its children, and `load`, which is ours.

    Of the children `models` is the process that reads and writes texts, `database` the embedded one; `helpers` are the
    others, as those that decode pictures.
    """

    def __init__(self, servers: Iterable[psutil.Process], load: Iterable[int]):
        self._groups: dict[str, list[psutil.Process]] = {"load": [psutil.Process(pid) for pid in load]}
        for server in servers:
            self._groups.setdefault("server", []).append(server)
            for child in server.children(recursive=True):
                self._groups.setdefault(_role(child), []).append(child)

    def read(self) -> dict[str, Usage]:
        """By role; those that cannot be seen are missing."""
        return {role: _sum(processes) for role, processes in self._groups.items()}

    def cores(self) -> dict[str, list[int]]:
        """On which cores each may run, where the system tells."""
        found = {}
        for role, processes in self._groups.items():
            for process in processes[:1]:
                if hasattr(process, "cpu_affinity"):
                    found[role] = sorted(process.cpu_affinity() or [])
        return found


def _role(child: psutil.Process) -> str:
    try:
        words = child.cmdline()
    except psutil.Error:
        return "helpers"
    if MODELS in words:
        return "models"
    return "database" if any(Path(word).name.startswith(DATABASE) for word in words) else "helpers"


def usage_of(process: psutil.Process) -> Usage:
    try:
        with process.oneshot():
            times = process.cpu_times()
            return Usage(times.user + times.system, process.memory_info().rss)
    except psutil.Error:
        return Usage()


def _sum(processes: Iterable[psutil.Process]) -> Usage:
    return sum((usage_of(process) for process in processes), Usage())
