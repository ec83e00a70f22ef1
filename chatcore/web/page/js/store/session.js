/** Who is signed in on this page, and the life of the connection. */
import { credentials, rest } from "../api.js";
import { batch, signal } from "../lib.js";
import { call, close, mention, open } from "../socket.js";
import { changeMember, dropGroup, groups, nameDirects, openId, takeGroup } from "./groups.js";
import { LOG_EVENTS, sync, take } from "./log.js";
import { accepted } from "./messages.js";
import { allowAgain, closeOutbox, flush, openOutbox, rejected } from "./outbox.js";
import { forgetPeople, me, meet, setPresent } from "./people.js";
import { endPush, resumePush } from "./push.js";
import { hearSuggestions } from "./suggestions.js";
import { startedTyping, stoppedTyping } from "./typing.js";
import { notice } from "./notices.js";

/** What the page knows of its server before anybody has signed in. */
export const facts = JSON.parse(document.querySelector('meta[name="chatcore"]').content);
/** "out", "entering" until the groups are here, "in"; "lapsed" when the token ended and one must sign in again. */
export const stage = signal("out");
export const refusal = signal(null);

const KEY = "chatcore-session";
const AWAY_AFTER_MS = 120_000;
let kept = null;

/** A window has its own session, unless one asked to stay signed in on this device. */
export function resume() {
  kept = read(sessionStorage) ?? read(localStorage);
  if (kept) start();
}

function read(storage) {
  try {
    return JSON.parse(storage.getItem(KEY));
  } catch {
    return null;
  }
}

/** @param {{how: "dev" | "password" | "token", name?: string, password?: string, token?: string}} by */
export async function signIn(by, stay = false) {
  const issued = await tokenFor(by);
  kept = { token: issued.token, devName: by.how === "dev" ? by.name : undefined };
  (stay ? localStorage : sessionStorage).setItem(KEY, JSON.stringify(kept));
  start();
}

async function tokenFor(by) {
  if (by.how === "dev") return rest("POST", "/auth/dev-token", { name: by.name });
  if (by.how === "password") return rest("POST", "/auth/login", { name: by.name, password: by.password });
  return { token: by.token.trim() };
}

function start() {
  credentials.token = kept.token;
  refusal.value = null;
  if (stage.peek() !== "lapsed") stage.value = "entering";
  open(HEARS, lapsed);
}

export function signOut() {
  void endPush();
  sessionStorage.removeItem(KEY);
  localStorage.removeItem(KEY);
  close();
  closeOutbox();
  credentials.token = "";
  batch(() => {
    stage.value = "out";
    openId.value = "";
    groups.value = new Map();
    forgetPeople();
  });
}

/** The token is no good any more. A name alone was enough before, so it is again; else the person has to come back. */
async function lapsed(why) {
  close();
  if (kept?.devName && facts.devTokens && why.code === "token_expired") {
    try {
      return await signIn({ how: "dev", name: kept.devName }, localStorage.getItem(KEY) !== null);
    } catch {
      // The sign-in page says more.
    }
  }
  sessionStorage.removeItem(KEY);
  localStorage.removeItem(KEY);
  credentials.token = "";
  refusal.value = why;
  stage.value = me.peek() ? "lapsed" : "out";
}

const HEARS = {
  ...Object.fromEntries(LOG_EVENTS.map((event) => [event, (data) => take(event, data)])),
  authentication_success({ user }) {
    if (me.peek() && me.peek().userId !== user.userId) forgetPeople();
    me.value = user;
    meet([user]);
    void resumePush(user.userId);
    void openOutbox(user.userId, (entry, receipt) => {
      const group = groups.peek().get(entry.groupId);
      if (group) accepted(group, entry, receipt);
    }).then(flush);
  },
  user_groups({ groups: list }) {
    batch(() => {
      const belongs = new Set(list.map((info) => info._id));
      for (const id of groups.peek().keys()) if (!belongs.has(id)) dropGroup(id);
      for (const info of list) takeGroup(info);
      stage.value = "in";
    });
    void sync();
    void flush();
    void nameDirects();
  },
  async token_expiring() {
    if (!kept?.devName || !facts.devTokens) return notice("Your session ends soon: sign in again to stay connected.");
    const issued = await rest("POST", "/auth/dev-token", { name: kept.devName });
    credentials.token = kept.token = issued.token;
    await call("authenticate", { token: issued.token });
  },
  message_rejected: rejected,
  message_read: moved,
  messages_read: moved,
  user_typing: startedTyping,
  user_stopped_typing: stoppedTyping,
  user_online({ userId, user, status }) {
    meet([user]);
    setPresent(userId, status);
  },
  user_offline: ({ userId }) => setPresent(userId, null),
  user_status_changed: ({ userId, status }) => setPresent(userId, status),
  group_deleted: ({ groupId }) => dropGroup(groupId),
  report_created({ groupId }) {
    const group = groups.peek().get(groupId);
    notice(`A message in ${group?.info.peek().name ?? "a group"} was reported.`);
  },
  appeal_resolved({ outcome, resend, note, decisionId }) {
    if (resend) allowAgain(decisionId);
    const words = outcome === "denied" ? "Your appeal was denied." : resend ? "Your appeal was upheld: you may send it again." : "Your appeal was upheld: your message is back.";
    notice(note ? `${words} ${note}` : words);
  },
  moderation_warning({ groupId, note }) {
    notice(`A moderator warned you about a message in ${groups.peek().get(groupId)?.info.peek().name ?? "a group"}.${note ? ` ${note}` : ""}`, "bad");
  },
  ...hearSuggestions,
};

/** Who has not looked at the page for a while is away, and back at once with a look. */
let leaving = 0;
document.addEventListener("visibilitychange", () => {
  clearTimeout(leaving);
  const tell = (status) => mention("change_status", { status });
  if (document.visibilityState === "visible") tell("online");
  else leaving = setTimeout(() => tell("away"), AWAY_AFTER_MS);
});

/** Somebody's read watermark: theirs for the ticks of messages, one's own for the count of unread ones. */
function moved({ groupId, readBy, upToSeq }) {
  const group = groups.peek().get(groupId);
  if (!group) return;
  if (group.members.peek()?.has(readBy)) changeMember(group, readBy, { readSeq: upToSeq });
  if (readBy === me.peek()?.userId) {
    group.unread.value = group.timeline.messages.peek().filter((message) => message.seq > upToSeq && message.type !== "system" && message.senderId !== readBy).length;
  }
}
