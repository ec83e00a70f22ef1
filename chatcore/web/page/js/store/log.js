/** A group's log as it comes in: each event is applied exactly once and in order, and gaps are asked for. */
import { rest } from "../api.js";
import { batch } from "../lib.js";
import { call, link } from "../socket.js";
import { changeInfo, changeMember, dropGroup, groups, loadPins, nameDirects, openId, takeGroup } from "./groups.js";
import { me, meet } from "./people.js";
import { stopTyping } from "./typing.js";

const GROUPS_A_SYNC = 50;
const PAUSE_MS = 250;

export const LOG_EVENTS = [
  "new_message", "message_updated", "message_deleted", "reaction_changed", "pins_changed",
  "member_joined", "member_left", "member_role_changed", "group_updated",
];

/** How often this page had to ask for what it missed; shown on the operations page. */
export const gaps = { asked: 0 };

let syncing = null;
/** @type {Set<(group: any, entry: any) => void>} */
const listeners = new Set();

/** Hear of each event after it was applied. */
export function onApplied(listener) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/** A pushed event of a log. */
export function take(event, data) {
  const group = groups.peek().get(data.groupId);
  if (!group) return void meetGroup(data.groupId);
  applyAll(group, group.cursor.offer({ event, data, seq: data.seq }));
  if (group.cursor.isBehind) void sync();
}

/** Somebody has just made us a member: look at the group. */
async function meetGroup(groupId) {
  try {
    takeGroup(await rest("GET", `/groups/${groupId}`));
    void sync();
    void nameDirects();
  } catch {
    // Not ours, or gone again.
  }
}

/** Ask for everything that is missing, in all groups that are behind. One run at a time. */
export function sync() {
  syncing ??= catchUp().finally(() => { syncing = null; });
  return syncing;
}

async function catchUp() {
  for (let behind; link.peek() === "online" && (behind = lagging()).length; ) {
    gaps.asked += 1;
    const before = behind.map((group) => group.cursor.last).join();
    const points = behind.map((group) => ({ groupId: group.id, since: group.cursor.last }));
    let answer;
    try {
      answer = await call("sync", { groups: points });
    } catch (error) {
      if (!error.retryable || error.code === "disconnected") return;
      await pause(error.retryAfterMs || PAUSE_MS);
      continue;
    }
    batch(() => answer.groups.forEach(absorb));
    // A server that lags behind its own push must not be asked in a tight loop.
    if (behind.map((group) => group.cursor.last).join() === before) await pause(PAUSE_MS);
  }
}

const lagging = () => [...groups.peek().values()].filter((group) => group.cursor.isBehind).slice(0, GROUPS_A_SYNC);
const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

function absorb(synced) {
  const group = groups.peek().get(synced.groupId);
  if (!group) return;
  if (synced.error) return dropGroup(group.id);
  if (synced.resyncRequired) startAnew(group, synced.latestSeq);
  for (const entry of synced.events) applyAll(group, group.cursor.offer(entry));
  group.cursor.heardOf(synced.latestSeq);
}

/** The past is gone or hidden: show the newest page again instead of a timeline with a hole. */
function startAnew(group, seq) {
  const following = group.cursor.jumpTo(seq);
  group.timeline.reset();
  if (openId.peek() === group.id) void group.timeline.load().catch(() => {});
  applyAll(group, following);
}

function applyAll(group, entries) {
  for (const entry of entries) {
    batch(() => APPLY[entry.event]?.(group, entry.data));
    for (const listener of listeners) listener(group, entry);
  }
}

const APPLY = {
  new_message(group, message) {
    meet([message.sender]);
    group.lastN = Math.max(group.lastN, message.n ?? 0);
    group.timeline.apply(() => group.timeline.add(message));
    changeInfo(group, { lastMessage: message });
    if (message.senderId === me.peek()?.userId) group.unread.value = 0;
    else if (message.seq > group.countedTo && message.type !== "system") group.unread.value += 1;
    stopTyping(group, message.senderId);
  },
  message_updated(group, { message }) {
    group.timeline.apply(() => group.timeline.change(message._id, () => message));
    mendLast(group, message._id, message);
    mendPins(group, message._id, message);
  },
  message_deleted(group, { messageId }) {
    const gone = { content: "", isDeleted: true, mentions: undefined, reactions: undefined, mediaUrl: undefined };
    group.timeline.apply(() => group.timeline.change(messageId, () => gone));
    mendLast(group, messageId, gone);
    mendPins(group, messageId, gone);
  },
  reaction_changed(group, { messageId, emoji, userId, count }) {
    group.timeline.apply(() => group.timeline.change(messageId, ({ reactions = {} }) => ({ reactions: counted(reactions, emoji, count) })));
    if (userId === me.peek()?.userId) rememberMine(group, messageId, emoji);
  },
  pins_changed(group) {
    if (group.pins.peek()) void loadPins(group).catch(() => {});
  },
  member_joined(group, { userId, user, role, seq }) {
    meet([user]);
    changeMember(group, userId, { userId, user, role, isOnline: false, joinedAt: new Date().toISOString(), readSeq: seq });
    if (seq > group.countedTo) changeInfo(group, { memberCount: group.info.peek().memberCount + 1 });
    if (userId === me.peek()?.userId) changeInfo(group, { role });
  },
  member_left(group, { userId, seq }) {
    changeMember(group, userId, null);
    if (seq > group.countedTo) changeInfo(group, { memberCount: Math.max(0, group.info.peek().memberCount - 1) });
    stopTyping(group, userId);
    if (userId === me.peek()?.userId) dropGroup(group.id);
  },
  member_role_changed(group, { userId, role }) {
    if (group.members.peek()?.has(userId)) changeMember(group, userId, { role });
    if (userId === me.peek()?.userId) changeInfo(group, { role });
  },
  group_updated(group, { group: info }) {
    const { role, unread, lastMessage, latestSeq, ...shared } = info;
    takeGroup({ ...shared, latestSeq: group.info.peek().latestSeq });
  },
};

function mendLast(group, messageId, fields) {
  const last = group.info.peek().lastMessage;
  if (last?._id === messageId) changeInfo(group, { lastMessage: { ...last, ...fields } });
}

function mendPins(group, messageId, fields) {
  const pins = group.pins.peek();
  if (pins?.some((pin) => pin._id === messageId)) {
    group.pins.value = pins.map((pin) => (pin._id === messageId ? { ...pin, ...fields } : pin));
  }
}

function counted(reactions, emoji, count) {
  const next = { ...reactions, [emoji]: count };
  if (count <= 0) delete next[emoji];
  return next;
}

/** Each of one's own changes to a reaction turns it over. */
function rememberMine(group, messageId, emoji) {
  const set = new Set(group.mine.peek().get(messageId));
  if (!set.delete(emoji)) set.add(emoji);
  group.mine.value = new Map(group.mine.peek()).set(messageId, set);
}
