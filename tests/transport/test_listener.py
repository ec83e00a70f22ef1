"""What the kernel keeps for a client that does not read, which no limit of ours could see."""

import asyncio
import socket

from aiohttp import web

from chatcore.transport.listener import UNSENT_BYTES, Listener

PIECE = b"x" * 16_384


async def test_the_kernel_takes_little_for_a_client_that_does_not_read() -> None:
    taken = asyncio.get_running_loop().create_future()

    async def talk(request: web.Request) -> web.StreamResponse:
        """Until something stays with us, as the kernel takes no more."""
        transport = request.transport
        assert isinstance(transport, asyncio.Transport)
        total = 0
        while not (left := transport.get_write_buffer_size()) and total < 64 * 1024**2:
            transport.write(PIECE)
            total += len(PIECE)
            await asyncio.sleep(0)
        taken.set_result(total - left)
        return web.Response()

    app = web.Application()
    app.router.add_get("/", talk)
    runner = Listener(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.setblocking(False)
        await asyncio.get_running_loop().sock_connect(client, ("127.0.0.1", runner.addresses[0][1]))
        await asyncio.get_running_loop().sock_sendall(client, b"GET / HTTP/1.1\r\nHost: here\r\n\r\n")
        async with asyncio.timeout(10):
            assert await taken <= 3 * UNSENT_BYTES
    await runner.cleanup()
