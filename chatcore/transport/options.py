"""Every limit of the Socket.IO server, with its default."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SocketOptions:
    """Limits of the Socket.IO server; the defaults are those of the wire contract.

    `allowed_origins`: None admits the server's own origin only; `("*",)` admits any. A request without an Origin
    header (a native client) is always admitted. `trusted_proxies` are addresses or CIDR networks whose
    X-Forwarded-For is believed. Loopback peers are exempt from the caps per address.
    """

    path: str = "/socket.io/"
    ping_interval_ms: int = 25_000
    ping_timeout_ms: int = 60_000
    allowed_origins: tuple[str, ...] | None = None
    trusted_proxies: tuple[str, ...] = ()
    max_frame_bytes: int = 65_536
    max_packets_per_post: int = 256
    max_queue_packets: int = 256
    max_buffer_bytes: int = 1_048_576
    slow_reader_seconds: float = 20
    volatile_buffer_bytes: int = 16_384
    volatile_queue_packets: int = 16
    connect_deadline_seconds: float = 10
    authenticate_deadline_seconds: float = 10
    disconnect_grace_seconds: float = 2
    inbox_size: int = 64
    max_violations: int = 3
    max_connections_per_address: int = 256
    connects_per_second_per_address: float = 5
    connect_burst_per_address: int = 50
