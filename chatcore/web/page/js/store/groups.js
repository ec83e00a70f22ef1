/** The groups that one belongs to, and which of them is open. */
import { query, rest } from "../api.js";
import { computed, signal } from "../lib.js";
import { LogCursor } from "../log_cursor.js";
import { call } from "../socket.js";
import { me, meet, setPresent } from "./people.js";
import { Timeline } from "./timeline.js";

export class Group {
  constructor(info) {
    this.id = info._id;
    this.info = signal(info);
    this.unread = signal(info.unread ?? 0);
    this.cursor = new LogCursor(info.latestSeq);
    /** Events up to this place are counted in `unread` already. */
    this.countedTo = info.latestSeq;
    this.timeline = new Timeline(info._id);
    /** @type {import("../lib.js").Signal<Map<string, any> | null>} */
    this.members = signal(null);
    /** Who is typing, with the moment at which that lapses. */
    this.typing = signal(new Map());
    /** @type {import("../lib.js").Signal<any[] | null>} */
    this.pins = signal(null);
    /** Emoji that oneself has set, by message, as far as this page has seen it. */
    this.mine = signal(new Map());
    this.draft = "";
    this.answering = signal(null);
    this.editing = signal(null);
    /** `n` of the last message that was read when the group was opened; the line "new" stands after it. */
    this.newAfter = signal(Infinity);
    this.lastN = 0;
    this.suggestions = signal(null);
  }

  get isDirect() {
    return this.info.value.kind === "direct";
  }
}

/** @type {import("../lib.js").Signal<Map<string, Group>>} */
export const groups = signal(new Map());
export const openId = signal("");
export const openGroup = computed(() => groups.value.get(openId.value) ?? null);

const lastAt = (group) => group.info.value.lastMessage?.createdAt ?? group.info.value.createdAt;
export const sortedGroups = computed(() =>
  [...groups.value.values()].sort((one, other) => lastAt(other).localeCompare(lastAt(one))),
);
export const unreadInAll = computed(() => [...groups.value.values()].reduce((sum, group) => sum + group.unread.value, 0));

/** Take a group in, or its news where it is known; nothing of what was loaded is lost. */
export function takeGroup(info) {
  const known = groups.peek().get(info._id);
  if (known) {
    known.info.value = { ...known.info.peek(), ...info };
    if (info.unread !== undefined) {
      known.unread.value = info.unread;
      known.countedTo = info.latestSeq;
    }
    known.cursor.heardOf(info.latestSeq);
    return known;
  }
  const group = new Group(info);
  groups.value = new Map(groups.peek()).set(group.id, group);
  if (info.lastMessage) meet([info.lastMessage.sender]);
  return group;
}

export function dropGroup(groupId) {
  if (!groups.peek().has(groupId)) return;
  const next = new Map(groups.peek());
  next.delete(groupId);
  groups.value = next;
  if (openId.peek() === groupId) openId.value = "";
}

export function changeInfo(group, fields) {
  group.info.value = { ...group.info.peek(), ...fields };
}

/** The other person of a direct conversation, as far as the members or the newest message tell. */
export function partnerOf(group) {
  const mine = me.value?.userId;
  const last = group.info.value.lastMessage;
  return [...(group.members.value?.values() ?? [])].find((member) => member.userId !== mine)?.user
    ?? (last && last.senderId !== mine ? last.sender : null);
}

/** A direct conversation is called by its other person, so its members are wanted before it is opened. */
export async function nameDirects() {
  for (const group of sortedGroups.peek()) {
    if (group.isDirect && !group.members.peek()) await loadMembers(group).catch(() => {});
  }
}

export function titleOf(group) {
  if (!group.isDirect) return group.info.value.name;
  return partnerOf(group)?.name ?? (group.info.value.name || "Direct conversation");
}

export async function loadMembers(group) {
  const answer = await call("get_group_members", { groupId: group.id });
  meet(answer.members.map((member) => member.user));
  for (const member of answer.members) setPresent(member.userId, member.isOnline ? member.status ?? "online" : null);
  group.members.value = new Map(answer.members.map((member) => [member.userId, member]));
}

export function changeMember(group, userId, fields) {
  const known = group.members.peek();
  if (!known) return;
  const next = new Map(known);
  if (fields === null) next.delete(userId);
  else next.set(userId, { ...next.get(userId), ...fields });
  group.members.value = next;
}

export async function loadPins(group) {
  group.pins.value = (await rest("GET", `/groups/${group.id}/pins`)).pins;
}

/** Whether one's role allows it: owner > admin > moderator > member. */
const RANK = { member: 0, moderator: 1, admin: 2, owner: 3 };
export const isAtLeast = (group, role) => (RANK[group.info.value.role] ?? -1) >= RANK[role];
export const ranksAbove = (one, other) => RANK[one] > RANK[other];

// --- what a person does with groups

export const createGroup = async (fields) => takeGroup(await rest("POST", "/groups", fields));
export const startDirect = async (userId) => takeGroup(await rest("POST", "/direct-messages", { userId }));
export const joinGroup = async (groupId) => takeGroup((await call("join_group", { groupId })).group);
export const acceptInvite = async (code) => takeGroup((await rest("POST", `/invites/${code}/accept`, {})).group);
export const findGroups = async (text) => (await rest("GET", `/directory/groups${query({ query: text, limit: 30 })}`)).groups;
export const findUsers = async (text) => (await rest("GET", `/directory/users${query({ query: text, limit: 30 })}`)).users;

export async function leaveGroup(group) {
  await call("leave_group", { groupId: group.id, membership: true });
  dropGroup(group.id);
}

export async function deleteGroup(group) {
  await rest("DELETE", `/groups/${group.id}`);
  dropGroup(group.id);
}

export const updateGroup = async (group, fields) => takeGroup(await rest("PATCH", `/groups/${group.id}`, fields));
export const inviteTo = (group) => rest("POST", `/groups/${group.id}/invites`, {});
export const addMember = (group, userId) => rest("POST", `/groups/${group.id}/members`, { userId });
export const kick = (group, userId) => rest("DELETE", `/groups/${group.id}/members/${encodeURIComponent(userId)}`);
export const ban = (group, userId, reason) => rest("POST", `/groups/${group.id}/bans`, { userId, reason });
export const bansOf = async (group) => (await rest("GET", `/groups/${group.id}/bans`)).bans;
export const unban = (group, userId) => rest("DELETE", `/groups/${group.id}/bans/${encodeURIComponent(userId)}`);
export const changeRole = (group, userId, role) =>
  rest("PATCH", `/groups/${group.id}/members/${encodeURIComponent(userId)}`, { role });
export const handOver = (group, userId) => rest("POST", `/groups/${group.id}/transfer-ownership`, { userId });
