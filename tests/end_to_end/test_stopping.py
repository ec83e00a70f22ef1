"""What is left to do when a server is told to stop."""

from tests.servers import ServerInThread
from tests.talking import People, eventually


async def test_an_idle_server_has_no_job_that_a_stop_would_wait_for(server: ServerInThread, people: People) -> None:
    await people.connected("ana")
    await eventually(lambda: not server.chat.core.background._jobs)
