"""`rediss://`: Redis behind TLS, with an authority of one's own, and what does not show that it is the right server."""

import asyncio
import datetime as dt
import ipaddress
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from chatcore.relay.broker import Broker, Listener
from chatcore.relay.seal import Seal
from chatcore.relay.words import Word
from tests.relay.broker import RealRedis
from tests.servers import start_process, stop_process

HEARD_SECONDS = 10.0


@dataclass(frozen=True)
class Authority:
    """Its own certificate in a file, and what it signed for a server."""

    ca_file: Path
    chain_file: Path
    key_file: Path

    @classmethod
    def make(cls, folder: Path, name: str, *, for_host: x509.GeneralName) -> "Authority":
        folder.mkdir()
        ca_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
        issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        ca = _certificate(issuer, issuer, ca_key, ca_key).add_extension(x509.BasicConstraints(True, 0), True)
        usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
        ca = ca.add_extension(usage, True)
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "redis")])
        leaf = _certificate(subject, issuer, key, ca_key)
        leaf = leaf.add_extension(x509.SubjectAlternativeName([for_host]), False)
        pem = serialization.Encoding.PEM
        (folder / "ca.pem").write_bytes(ca.sign(ca_key, hashes.SHA256()).public_bytes(pem))
        (folder / "server.pem").write_bytes(leaf.sign(ca_key, hashes.SHA256()).public_bytes(pem))
        (folder / "server.key").write_bytes(
            key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        )
        return cls(folder / "ca.pem", folder / "server.pem", folder / "server.key")

    def server_side(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.chain_file, self.key_file)
        return context


def _certificate(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, signer: ec.EllipticCurvePrivateKey
) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    known_by = x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key())
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(hours=1))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
        .add_extension(known_by, False)
    )


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    loopback = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    return Authority.make(tmp_path_factory.mktemp("tls") / "ours", "our authority", for_host=loopback)


@asynccontextmanager
async def behind_tls(redis: RealRedis, authority: Authority) -> AsyncIterator[str]:
    """Ends TLS before a Redis that has none, as the wheel's is built without it; yields the address."""
    await redis.ready()
    open_pipes: set[asyncio.Task[None]] = set()

    async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(1 << 16):
                writer.write(data)
                await writer.drain()
        except OSError:
            pass
        finally:
            writer.close()

    async def lead_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        open_pipes.add(task)
        to_redis, from_redis = (await asyncio.open_connection("127.0.0.1", redis.port))[::-1]
        await asyncio.gather(copy(reader, to_redis), copy(from_redis, writer))

    server = await asyncio.start_server(lead_on, "127.0.0.1", 0, ssl=authority.server_side())
    try:
        yield f"rediss://127.0.0.1:{server.sockets[0].getsockname()[1]}/0"
    finally:
        server.close()
        for task in open_pipes:
            task.cancel()
        await asyncio.gather(*open_pipes, return_exceptions=True)


class Ears:
    """A broker that runs, and what it told."""

    def __init__(self, url: str, seal: Seal):
        self.words: asyncio.Queue[Word] = asyncio.Queue()
        self.deaf: asyncio.Queue[str] = asyncio.Queue()
        self._listening = asyncio.Event()
        listener = Listener(self._hear, self._note, self.deaf.put_nowait, lambda lost: None, lambda why: None)
        self.broker = Broker(url, seal, listener)
        self._tasks: list[asyncio.Task[None]] = []

    def _hear(self, process: str, said: Sequence[Word]) -> None:
        for word in said:
            self.words.put_nowait(word)

    def _note(self, channels: Sequence[str]) -> None:
        self._listening.set()

    async def __aenter__(self) -> "Ears":
        self._tasks = [asyncio.create_task(work()) for work in (self.broker.send, self.broker.listen)]
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def listens(self) -> None:
        async with asyncio.timeout(HEARD_SECONDS):
            await self._listening.wait()


async def test_what_is_said_over_tls_is_heard_over_tls(redis: RealRedis, authority: Authority) -> None:
    async with behind_tls(redis, authority) as address:
        url = f"{address}?ssl_ca_certs={authority.ca_file}"
        secret = b"s" * 32
        async with Ears(url, Seal(secret)) as speaker, Ears(url, Seal(secret)) as hearer:
            hearer.broker.listen_to("a channel")
            await hearer.listens()
            speaker.broker.say("a channel", "", b'["alive"]')
            async with asyncio.timeout(HEARD_SECONDS):
                assert await hearer.words.get() == ["alive"]


@pytest.mark.parametrize(
    "why", ["nobody vouches for it", "another authority vouches", "it is made out to another host"]
)
async def test_a_server_that_cannot_show_who_it_is_gets_nothing(
    why: str, redis: RealRedis, authority: Authority, tmp_path: Path
) -> None:
    elsewhere = Authority.make(tmp_path / "theirs", "other", for_host=x509.DNSName("redis.invalid"))
    shown = elsewhere if why == "it is made out to another host" else authority
    trusted = "" if why == "nobody vouches for it" else f"?ssl_ca_certs={elsewhere.ca_file}"
    async with behind_tls(redis, shown) as url, Ears(f"{url}{trusted}", Seal(b"s" * 32)) as ears:
        ears.broker.listen_to("a channel")
        ears.broker.say("a channel", "", b'["alive"]')
        async with asyncio.timeout(HEARD_SECONDS):
            assert await ears.deaf.get() == "SSLCertVerificationError"
        assert not ears.broker.is_listening
        assert len(ears.broker.outbox) == 1, "it was not said to whoever answered"


async def test_a_server_whose_redis_speaks_tls_is_ready(
    redis: RealRedis, authority: Authority, database_uri: str, tmp_path: Path
) -> None:
    async with behind_tls(redis, authority) as url:
        variables = {"MONGODB_URI": database_uri, "DATABASE_NAME": "relay-tls", "AI": "off", "LOG_LEVEL": "warning"}
        variables["REDIS_URL"] = f"{url}?ssl_ca_certs={authority.ca_file}"
        server = await asyncio.to_thread(start_process, tmp_path, **variables)
        try:
            async with aiohttp.ClientSession() as http, asyncio.timeout(20):
                while True:
                    async with http.get(f"{server.url}/health/ready") as answer:
                        checks = (await answer.json())["checks"]
                    if checks["broker"] == "ok":
                        break
                    await asyncio.sleep(0.05)
        finally:
            await asyncio.to_thread(stop_process, server.process)
