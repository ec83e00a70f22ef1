/** Notices while the page is closed: asked for by a person, for this browser, and gone when they sign out here. */
import { credentials, rest } from "../api.js";
import { signal } from "../lib.js";
import { go } from "../route.js";

const KEY = "chatcore-push";
const WORKER = "/service-worker.js";
/** The one address of a script that this page may make itself; the content-security policy knows this policy's name. */
const scripts = globalThis.trustedTypes?.createPolicy("chatcore-worker", {
  createScriptURL(url) {
    if (url !== WORKER) throw new TypeError("This page runs no such worker");
    return url;
  },
});

/**
 * "unsupported" by this browser or connection, "refused" by the person in the browser's own settings, "absent" where
 * this server sends none; else "off" or "on".
 * @type {import("../lib.js").Signal<"unknown" | "unsupported" | "refused" | "absent" | "off" | "on">}
 */
export const pushState = signal("unknown");
/** @type {import("../lib.js").Signal<"all" | "mentions">} */
export const pushScope = signal("all");

const isPossible = () => isSecureContext && "serviceWorker" in navigator && "PushManager" in globalThis && "Notification" in globalThis;

/** What this browser was told to do, made good again: the server may have a new key, or the sign-in be a new one. */
export async function resumePush(userId) {
  if (!isPossible()) { pushState.value = "unsupported"; return; }
  const kept = read();
  pushScope.value = kept?.scope ?? "all";
  if (Notification.permission === "denied") { pushState.value = "refused"; return; }
  pushState.value = "off";
  if (!kept || Notification.permission !== "granted") return;
  if (kept.userId !== userId) return void (await endHere());
  await subscribe(userId, kept.scope).catch(() => {});
}

/** Raises Refusal, or Error with words for the person. */
export async function startPush(userId, scope = pushScope.peek()) {
  if ((await Notification.requestPermission()) !== "granted") {
    pushState.value = Notification.permission === "denied" ? "refused" : "off";
    throw new Error("This browser does not let the page show notices.");
  }
  await subscribe(userId, scope);
}

async function subscribe(userId, scope) {
  const { payload, publicKey } = await rest("GET", "/push-subscriptions");
  if (payload === "off") { pushState.value = "absent"; return; }
  await navigator.serviceWorker.register(scripts ? scripts.createScriptURL(WORKER) : WORKER);
  const { pushManager } = await navigator.serviceWorker.ready;
  const known = await pushManager.getSubscription();
  if (known && asText(known.options.applicationServerKey) !== publicKey) await known.unsubscribe();
  let given;
  try {
    given = await pushManager.subscribe({ userVisibleOnly: true, applicationServerKey: asBytes(publicKey) });
  } catch {
    throw new Error("This browser's push service does not answer; try again later.");
  }
  const made = await rest("POST", "/push-subscriptions", { ...given.toJSON(), scope }).catch(async (refused) => {
    if (refused.code === "conflict") await given.unsubscribe();  // the next try gets an address of its own
    throw refused;
  });
  localStorage.setItem(KEY, JSON.stringify({ userId, scope, id: made._id }));
  pushScope.value = scope;
  pushState.value = "on";
}

/** Tells the server first, with the token as it is at the call: a sign-out takes it away right after. */
export function endPush() {
  const kept = read();
  if (pushState.peek() === "on") pushState.value = "off";
  if (!kept) return Promise.resolve();
  const told = credentials.token ? rest("DELETE", `/push-subscriptions/${kept.id}`).catch(() => {}) : Promise.resolve();
  return Promise.all([told, endHere()]);
}

/** Without a word to the server, which learns of it from the push service. */
async function endHere() {
  localStorage.removeItem(KEY);
  const registration = await navigator.serviceWorker?.getRegistration("/");
  await (await registration?.pushManager.getSubscription())?.unsubscribe();
}

function read() {
  try {
    return JSON.parse(localStorage.getItem(KEY));
  } catch {
    return null;
  }
}

const asBytes = (text) => Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (letter) => letter.charCodeAt(0));
const asText = (buffer) => btoa(String.fromCharCode(...new Uint8Array(buffer ?? []))).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");

navigator.serviceWorker?.addEventListener("message", ({ data }) => data?.open && go(`/g/${data.open}`));
