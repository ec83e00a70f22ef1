/** Who is typing. Each is a lease of some seconds, so that nobody types for ever because a "stopped" was lost. */
import { mention } from "../socket.js";
import { groups } from "./groups.js";
import { me, meet } from "./people.js";

const LEASE_MS = 6_000;
const TELL_EVERY_MS = 3_000;

let told = { groupId: "", at: 0 };

export function startedTyping({ groupId, userId, user }) {
  const group = groups.peek().get(groupId);
  if (!group || userId === me.peek()?.userId) return;
  meet([user]);
  const until = Date.now() + LEASE_MS;
  group.typing.value = new Map(group.typing.peek()).set(userId, until);
  setTimeout(() => { if (group.typing.peek().get(userId) === until) stopTyping(group, userId); }, LEASE_MS);
}

export function stoppedTyping({ groupId, userId }) {
  const group = groups.peek().get(groupId);
  if (group) stopTyping(group, userId);
}

export function stopTyping(group, userId) {
  if (!group.typing.peek().has(userId)) return;
  const next = new Map(group.typing.peek());
  next.delete(userId);
  group.typing.value = next;
}

/** Oneself: told at most every three seconds, and stopped at once when the field is empty. */
export function tellTyping(group, isTyping) {
  const now = Date.now();
  if (!isTyping) {
    if (told.groupId === group.id) mention("typing_stop", { groupId: group.id });
    told = { groupId: "", at: 0 };
  } else if (told.groupId !== group.id || now - told.at > TELL_EVERY_MS) {
    told = { groupId: group.id, at: now };
    mention("typing_start", { groupId: group.id });
  }
}

/** A message that was sent has ended the typing by itself. */
export function forgetTyping() {
  told = { groupId: "", at: 0 };
}
