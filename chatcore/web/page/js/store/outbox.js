/**
 * Messages that the server has not acknowledged yet. They are kept in IndexedDB, so that a reload or a crash of the
 * browser loses none, and sent again with the same tempId, so that none arrives twice.
 */
import { signal } from "../lib.js";
import { Disconnected } from "../refusal.js";
import { call, link } from "../socket.js";

/**
 * @typedef {{userId: string, tempId: string, groupId: string, content: string, type: string, createdAt: string,
 *   replyTo?: string, mediaId?: string, preview?: object, state: "queued" | "sending" | "sent" | "failed" | "rejected",
 *   error?: string, notice?: object, messageId?: string}} Waiting
 */

const STUCK_MS = 2_000;

/** @type {import("../lib.js").Signal<Waiting[]>} in the order of writing */
export const waiting = signal([]);

const shelf = openShelf();
let owner = "";
let flushing = null;
/** @type {(entry: Waiting, receipt: any) => void} */
let onAccepted = () => {};

/** Take up what this person left unsent on this machine. */
export async function openOutbox(userId, accepted) {
  owner = userId;
  onAccepted = accepted;
  const kept = await (await shelf).all();
  if (owner !== userId) return;
  waiting.value = kept
    .filter((entry) => entry.userId === userId)
    .map((entry) => (entry.state === "sending" ? { ...entry, state: "queued" } : entry))
    .sort((one, other) => one.createdAt.localeCompare(other.createdAt));
}

export function closeOutbox() {
  owner = "";
  waiting.value = [];
}

/** @param {{groupId: string, content: string, type?: string, replyTo?: string, mediaId?: string, preview?: object}} message */
export async function post(message) {
  const entry = {
    type: "text", ...message, userId: owner, tempId: crypto.randomUUID(), createdAt: new Date().toISOString(), state: "queued",
  };
  // Kept before it is shown: what one sees outlives the tab. A full or stuck disk must not keep anybody from talking.
  await Promise.race([(await shelf).put(entry).catch(() => {}), new Promise((resolve) => setTimeout(resolve, STUCK_MS))]);
  if (owner !== entry.userId) return entry;
  waiting.value = [...waiting.value, entry];
  void flush();
  return entry;
}

export function retry(tempId) {
  change(tempId, { state: "queued", error: undefined });
  return flush();
}

export async function discard(tempId) {
  const entry = waiting.value.find((one) => one.tempId === tempId);
  waiting.value = waiting.value.filter((one) => one.tempId !== tempId);
  if (entry) await (await shelf).remove(entry);
}

/** `message_rejected` names the reason and whether one may appeal; it comes beside the acknowledgement. */
export function rejected(notice) {
  change(notice.tempId, { state: "rejected", notice });
}

/** An appeal was upheld: what was refused then may be sent again as it was. */
export function allowAgain(decisionId) {
  const entry = waiting.peek().find((one) => one.notice?.decisionId === decisionId);
  if (entry) change(entry.tempId, { state: "failed", notice: undefined, error: "Your appeal was upheld." });
}

/** Send everything that waits, in order. One run at a time; ends where the connection does. */
export function flush() {
  flushing ??= run().finally(() => { flushing = null; });
  return flushing;
}

async function run() {
  for (let entry; link.peek() === "online" && (entry = waiting.peek().find((one) => one.state === "queued")); ) {
    if (!(await send(entry))) return;
  }
}

/** False where it makes no sense to go on now. */
async function send(entry) {
  change(entry.tempId, { state: "sending" });
  try {
    const { groupId, content, type, tempId, replyTo, mediaId } = entry;
    const receipt = await call("send_message", { groupId, content, type, tempId, replyTo, mediaId });
    onAccepted(entry, receipt);
    await discard(entry.tempId);
    return true;
  } catch (error) {
    return settle(entry, error);
  }
}

async function settle(entry, error) {
  if (error instanceof Disconnected) {
    change(entry.tempId, { state: "queued" });
    return false;
  }
  if (error.retryable) {
    change(entry.tempId, { state: "queued", error: error.message });
    await new Promise((resolve) => setTimeout(resolve, Math.max(error.retryAfterMs, 300)));
    return true;
  }
  const known = waiting.peek().find((one) => one.tempId === entry.tempId);
  change(entry.tempId, { state: error.code === "message_rejected" || known?.notice ? "rejected" : "failed", error: error.message });
  return true;
}

function change(tempId, fields) {
  const list = waiting.peek();
  const entry = list.find((one) => one.tempId === tempId);
  if (!entry) return;
  const next = { ...entry, ...fields };
  waiting.value = list.map((one) => (one === entry ? next : one));
  void shelf.then((open) => open.put(next));
}

/** One object store of IndexedDB; where the browser forbids it (private windows), memory has to do. */
async function openShelf() {
  try {
    const db = await asked(openDatabase());
    const store = (mode) => db.transaction("messages", mode).objectStore("messages");
    return {
      all: () => asked(store("readonly").getAll()),
      put: (entry) => asked(store("readwrite").put(entry)),
      remove: (entry) => asked(store("readwrite").delete([entry.userId, entry.tempId])),
    };
  } catch {
    return { all: async () => [], put: async () => {}, remove: async () => {} };
  }
}

function openDatabase() {
  const request = indexedDB.open("chatcore-outbox", 1);
  request.onupgradeneeded = () => request.result.createObjectStore("messages", { keyPath: ["userId", "tempId"] });
  return request;
}

function asked(request) {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}
