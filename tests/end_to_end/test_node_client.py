"""The real `socket.io-client` of npm, as a browser application uses it: the whole talk of two people."""

import asyncio
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.talking import People

CACHE = Path.home() / ".cache" / "chatcore-tests"
CLIENT = "socket.io-client@4.8.1"
INSTALL_SECONDS = 100
TALK_SECONDS = 60

SCRIPT = r"""
const { io } = require("socket.io-client");
const [url, transports, tokenA, tokenB] = JSON.parse(process.argv[1]);
const options = { transports, forceNew: true, reconnectionDelay: 10, reconnectionDelayMax: 20 };
const report = {};
const fail = (why) => {
  console.log(JSON.stringify({ failed: String(why && why.stack || why), report }));
  process.exit(1);
};
process.on("unhandledRejection", fail);

const heard = (socket) => {
  const seen = [], waiting = [];
  socket.onAny((event, data) => {
    seen.push([event, data]);
    waiting.splice(0).forEach((again) => again());
  });
  return async (name, fits = () => true) => {
    for (;;) {
      const index = seen.findIndex(([event, data]) => event === name && fits(data));
      if (index >= 0) return seen.splice(index, 1)[0][1];
      await new Promise((again) => waiting.push(again));
    }
  };
};
const call = async (socket, event, payload) => {
  const answer = await socket.timeout(15000).emitWithAck(event, payload);
  if (!answer.ok) throw new Error(event + " " + JSON.stringify(answer.error));
  return answer.data;
};
const rest = async (token, method, path, body) => {
  const headers = { Authorization: "Bearer " + token, "Content-Type": "application/json" };
  const answer = await fetch(url + "/api" + path, { method, headers, body: body && JSON.stringify(body) });
  if (!answer.ok) throw new Error(path + " " + answer.status);
  return answer.json();
};

(async () => {
  const ana = io(url, { ...options, auth: { token: tokenA } });        // signed in by the handshake
  const ben = io(url, options);                                       // signs in by an event
  const anaHears = heard(ana), benHears = heard(ben);
  report.user = (await anaHears("authentication_success")).user.userId;
  await anaHears("user_groups");
  report.signedIn = (await call(ben, "authenticate", { token: tokenB })).user.userId;

  const group = await rest(tokenA, "POST", "/groups", { name: "Node", joinPolicy: "open" });
  const joined = await call(ben, "join_group", { groupId: group._id });
  report.members = joined.group.memberCount;
  report.joiner = (await anaHears("member_joined", (e) => e.userId === report.signedIn)).userId;
  await anaHears("user_online", (e) => e.userId === report.signedIn);

  await call(ben, "typing_start", { groupId: group._id });
  report.typing = (await anaHears("user_typing")).userId;
  const sent = await call(ben, "send_message", { groupId: group._id, content: "hello from node", tempId: "t1" });
  const message = await anaHears("new_message", (m) => m._id === sent.messageId);
  report.content = message.content;
  await anaHears("user_stopped_typing");
  const repeat = { groupId: group._id, content: "hello from node", tempId: "t1" };
  report.again = (await call(ben, "send_message", repeat)).duplicate;

  await call(ana, "mark_message_read", { groupId: group._id, messageId: sent.messageId });
  report.readBy = (await benHears("message_read")).readBy;
  await call(ben, "edit_message", { groupId: group._id, messageId: sent.messageId, content: "edited" });
  report.edited = (await anaHears("message_updated")).message.content;
  await call(ben, "delete_message", { groupId: group._id, messageId: sent.messageId });
  report.deleted = (await anaHears("message_deleted")).messageId === sent.messageId;
  report.transport = ana.io.engine.transport.name;
  if (transports.length > 1 && report.transport === "polling") {
    await new Promise((upgraded) => ana.io.engine.once("upgrade", upgraded));
    report.transport = ana.io.engine.transport.name;
  }

  const away = new Promise((gone) => ana.once("disconnect", gone));
  ana.io.engine.close();
  report.reason = await away;
  const missed = await call(ben, "send_message", { groupId: group._id, content: "while ana was away" });
  await anaHears("authentication_success");
  await anaHears("user_groups");
  const synced = await call(ana, "sync", { groups: [{ groupId: group._id, since: missed.seq - 1 }] });
  report.synced = synced.groups[0].events.map((event) => event.data.content);
  const after = await call(ben, "send_message", { groupId: group._id, content: "and back" });
  report.back = (await anaHears("new_message", (m) => m._id === after.messageId)).content;
  report.error = (await ben.emitWithAck("send_message", { groupId: group._id, content: "" })).error.code;
  console.log(JSON.stringify(report));
  ana.close(); ben.close();
})().catch(fail);
"""


@pytest.fixture(scope="session")
def node_modules() -> Path:
    """The client, installed once, outside the work tree."""
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        pytest.skip("node and npm are not installed")
    if not (CACHE / "node_modules" / "socket.io-client").exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        command = [npm, "install", "--silent", "--no-audit", "--no-fund", "--prefix", str(CACHE), CLIENT]
        try:
            subprocess.run(command, check=True, capture_output=True, timeout=INSTALL_SECONDS)
        except (subprocess.SubprocessError, OSError) as error:
            pytest.skip(f"npm could not install {CLIENT}: {type(error).__name__}")
    return CACHE


@pytest.mark.parametrize("transports", [["websocket"], ["polling", "websocket"], ["polling"]], ids="-".join)
async def test_two_people_talk_through_the_client_of_npm(
    people: People, node_modules: Path, transports: list[str]
) -> None:
    ana, ben = await people.persons("ana", "ben")
    argument = json.dumps([people.url, transports, ana.token, ben.token])
    process = await asyncio.create_subprocess_exec(
        "node", "-e", SCRIPT, argument, cwd=node_modules, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    try:
        output, errors = await asyncio.wait_for(process.communicate(), TALK_SECONDS)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, (output, errors)
    report: dict[str, Any] = json.loads(output.splitlines()[-1])
    assert report == {
        "user": ana.user_id,
        "signedIn": ben.user_id,
        "members": 2,
        "joiner": ben.user_id,
        "typing": ben.user_id,
        "content": "hello from node",
        "again": True,
        "readBy": ana.user_id,
        "edited": "edited",
        "deleted": True,
        "transport": transports[-1],
        "reason": "forced close",
        "synced": ["while ana was away"],
        "back": "and back",
        "error": "message_empty",
    }
