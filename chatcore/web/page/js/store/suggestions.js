/** Smart replies, typing suggestions and their ratings. What the server does not offer is not shown. */
import { signal } from "../lib.js";
import { call, mention } from "../socket.js";
import { groups } from "./groups.js";
import { me } from "./people.js";
import { notice } from "./notices.js";

const PATIENCE_MS = 10_000;
const MIN_PAUSE_MS = 4_000;

/** Becomes false when the server answers that it knows no such command. */
export const offered = signal(true);
/** What could follow what one types: {groupId, requestId, suggestionId, suggestion, forText}. */
export const ghost = signal(null);
export const completing = signal(localStorage.getItem("chatcore-completing") !== "off");

/** Asked for by this page: requestId -> {group, forText?}. */
const asked = new Map();
/** An answer may overtake the acknowledgement that names its request. */
const early = new Map();
let notBefore = 0;
let latestText = "";

export function setCompleting(on) {
  completing.value = on;
  localStorage.setItem("chatcore-completing", on ? "on" : "off");
  if (!on) ghost.value = null;
}

export const mayAsk = (group) =>
  offered.value && group.info.value.settings.ai && (me.value?.settings?.ai ?? true);

export async function askReplies(group) {
  group.suggestions.value = { state: "asking", items: [] };
  try {
    const { requestId } = await call("request_smart_replies", { groupId: group.id });
    if (!requestId) return;
    remember(requestId, { group });
    setTimeout(() => giveUp(requestId), PATIENCE_MS);
  } catch (error) {
    refused(error);
    group.suggestions.value = null;
  }
}

/** How long to wait before asking: a pause in typing, and four seconds since the last time. */
export const completionDelay = (pauseMs) => Math.max(pauseMs, notBefore - Date.now() + 1);

/** Asked for while one pauses; at most once in four seconds, and not again for the same text. */
export async function askCompletion(group, text) {
  if (!completing.peek() || text.length < 6 || Date.now() < notBefore || text === latestText) return;
  notBefore = Date.now() + MIN_PAUSE_MS;
  latestText = text;
  try {
    const { requestId } = await call("request_typing_suggestions", { groupId: group.id, currentText: text, cursorPosition: text.length });
    if (requestId) remember(requestId, { group, forText: text });
  } catch (error) {
    notBefore = Date.now() + Math.max(error.retryAfterMs ?? 0, MIN_PAUSE_MS * 4);
    if (error.code === "unknown_event" || error.code === "capability_unavailable") offered.value = false;
  }
}

function remember(requestId, what) {
  asked.set(requestId, what);
  const answer = early.get(requestId);
  early.delete(requestId);
  if (answer) answer();
}

function whenAsked(requestId, use) {
  const what = asked.get(requestId);
  if (what) {
    asked.delete(requestId);
    return use(what);
  }
  early.set(requestId, () => whenAsked(requestId, use));
  setTimeout(() => early.delete(requestId), PATIENCE_MS);
}

function giveUp(requestId) {
  const what = asked.get(requestId);
  if (!what) return;
  asked.delete(requestId);
  if (what.group.suggestions.peek()?.state === "asking") what.group.suggestions.value = { state: "none", items: [] };
}

function refused(error) {
  if (error.code === "unknown_event" || error.code === "capability_unavailable") {
    offered.value = false;
    notice("This server offers no suggestions.");
  } else {
    notice(error.message, "bad");
  }
}

/** Ratings are worth something only if they are honest: shown, accepted, dismissed, and the thumbs. */
export function rate(suggestionId, rating) {
  if (suggestionId) mention("rate_ai_suggestion", { suggestionId, rating });
}

export const hearSuggestions = {
  smart_replies_complete(answer) {
    whenAsked(answer.requestId, ({ group }) => {
      const items = answer.items ?? (answer.suggestions ?? []).map((text) => ({ text }));
      group.suggestions.value = { state: items.length ? "there" : "none", items, degraded: answer.degraded };
      for (const item of items) rate(item.suggestionId, "shown");
    });
  },
  typing_suggestion(answer) {
    whenAsked(answer.requestId, ({ group, forText }) => {
      if (!answer.suggestion || !groups.peek().has(group.id)) return;
      ghost.value = { ...answer, forText };
      rate(answer.suggestionId, "shown");
    });
  },
  ai_error(error) {
    if (!error.requestId) return;
    whenAsked(error.requestId, ({ group, forText }) => {
      if (forText !== undefined) return;
      group.suggestions.value = null;
      notice(error.message, "bad");
    });
  },
};
