"""CPU time and memory of the server, its database and the load processes, where they run on this machine."""

import ipaddress
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import urlsplit

import psutil

MIB = 1024 * 1024


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
    """Reads the processes again and again: those of the server, of its children (the embedded database), and ours."""

    def __init__(self, servers: Iterable[psutil.Process], load: Iterable[int]):
        self._servers = list(servers)
        self._children = [child for server in self._servers for child in server.children(recursive=True)]
        self._load = [psutil.Process(pid) for pid in load]

    def read(self) -> dict[str, Usage]:
        """By `server`, `database` and `load`; those that cannot be seen are missing."""
        found = {"load": _sum(self._load)}
        if self._servers:
            found["server"] = _sum(self._servers)
            if self._children:
                found["database"] = _sum(self._children)
        return found

    def cores(self) -> dict[str, list[int]]:
        """On which cores each may run, where the system tells."""
        groups = {"server": self._servers, "database": self._children, "load": self._load}
        found = {}
        for name, processes in groups.items():
            for process in processes[:1]:
                if hasattr(process, "cpu_affinity"):
                    found[name] = sorted(process.cpu_affinity() or [])
        return found


def usage_of(process: psutil.Process) -> Usage:
    try:
        with process.oneshot():
            times = process.cpu_times()
            return Usage(times.user + times.system, process.memory_info().rss)
    except psutil.Error:
        return Usage()


def _sum(processes: Iterable[psutil.Process]) -> Usage:
    return sum((usage_of(process) for process in processes), Usage())
