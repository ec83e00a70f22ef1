import { io, type Socket } from "socket.io-client";
import type { Ack, ClientToServerEvents, ErrorCode, HandshakeAuth, Message, MessageSent, ServerToClientEvents } from "./chatcore.js";

const auth: HandshakeAuth = { token: "a token", deviceType: "web" };
const socket: Socket<ServerToClientEvents, ClientToServerEvents> = io("http://127.0.0.1:3001", { auth });

const seen: Message[] = [];
socket.on("new_message", (message) => seen.push(message));
socket.on("message_error", (failure) => {
  const code: ErrorCode = failure.code;
  if (code === "slow_mode") console.log(failure.retryAfterMs ?? 0);
});

export async function send(groupId: string, content: string): Promise<number> {
  const answer: Ack<MessageSent> = await socket.timeout(10_000).emitWithAck("send_message", { groupId, content });
  if (!answer.ok) throw new Error(answer.error.code);
  return answer.data.seq;
}

export async function catchUp(groupId: string, since: number): Promise<string[]> {
  const answer = await socket.emitWithAck("sync", { groups: [{ groupId, since }] });
  if (!answer.ok) return [answer.error.message];
  return answer.data.groups.flatMap((group) =>
    group.events.map((event) => (event.event === "member_left" ? event.data.reason : String(event.seq))),
  );
}
