/** What a person does with messages of the open group. */
import { call } from "../socket.js";
import { isAtLeast } from "./groups.js";
import { take } from "./log.js";
import { me } from "./people.js";
import { post } from "./outbox.js";
import { forgetTyping } from "./typing.js";

const READ_PAUSE_MS = 200;
let reading = 0;

export function send(group, content, more = {}) {
  forgetTyping();
  const replyTo = group.answering.peek()?._id;
  group.answering.value = null;
  group.draft = "";
  return post({ groupId: group.id, content, replyTo, ...more });
}

/**
 * The server acknowledged a message of ours and pushes it to everybody but us: apply it as if it had been pushed.
 * Its ordinal is the next one, as the log has no holes.
 */
export function accepted(group, entry, receipt) {
  const { replyTo, type, content } = entry;
  take("new_message", {
    _id: receipt.messageId, groupId: group.id, seq: receipt.seq, n: group.lastN + 1, senderId: me.peek().userId,
    sender: me.peek(), content: content.trim(), type, replyTo, isDeleted: false, aiModerated: false,
    ...(entry.preview ?? {}), createdAt: receipt.createdAt, updatedAt: receipt.createdAt,
  });
}

export const edit = (group, message, content) =>
  call("edit_message", { groupId: group.id, messageId: message._id, content });
export const remove = (group, message) => call("delete_message", { groupId: group.id, messageId: message._id });
export const report = (group, message, reason) =>
  call("report_message", { groupId: group.id, messageId: message._id, reason });
export const pin = (group, message) => call("pin_message", { groupId: group.id, messageId: message._id });
export const unpin = (group, message) => call("unpin_message", { groupId: group.id, messageId: message._id });

/** History does not say which reactions are one's own: adding one that is there changes nothing, so it is taken off. */
export async function toggleReaction(group, message, emoji) {
  const payload = { groupId: group.id, messageId: message._id, emoji };
  if (group.mine.peek().get(message._id)?.has(emoji)) return call("remove_reaction", payload);
  const before = message.reactions?.[emoji] ?? 0;
  const answer = await call("add_reaction", payload);
  if (answer.count === before && before > 0) {
    // Known as ours from now on; the event of the removal turns it over.
    group.mine.value = new Map(group.mine.peek()).set(message._id, new Set(group.mine.peek().get(message._id)).add(emoji));
    return call("remove_reaction", payload);
  }
  return answer;
}

/** Move one's watermark to the newest message, once in a while and never for nothing. */
export function markRead(group) {
  if (group.unread.peek() === 0) return;
  clearTimeout(reading);
  reading = setTimeout(() => {
    const last = group.timeline.messages.peek().at(-1);
    if (!last || document.visibilityState !== "visible") return;
    call("mark_messages_read", { groupId: group.id, upToSeq: last.seq })
      .then(() => { group.unread.value = 0; })
      .catch(() => {});
  }, READ_PAUSE_MS);
}

export const mayDelete = (group, message) =>
  message.senderId === me.value?.userId || (!group.isDirect && isAtLeast(group, "moderator"));
export const mayPin = (group) => group.isDirect || isAtLeast(group, "moderator");
