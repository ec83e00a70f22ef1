/** People as far as we know them: their cards, and who is there. Presence is told only among people who share a group. */
import { signal } from "../lib.js";

/** Oneself, or null while signed out. */
export const me = signal(null);
/** @type {import("../lib.js").Signal<Map<string, any>>} */
export const cards = signal(new Map());
/** @type {import("../lib.js").Signal<Map<string, "online" | "away">>} */
export const present = signal(new Map());

/** @param {Iterable<any>} users */
export function meet(users) {
  const known = cards.peek();
  const news = [...users].filter((user) => user && !isSame(known.get(user.userId), user));
  if (!news.length) return;
  const next = new Map(known);
  for (const user of news) next.set(user.userId, user);
  cards.value = next;
}

const isSame = (one, other) => one && one.name === other.name && one.username === other.username && one.imageUrl === other.imageUrl;

export function setPresent(userId, status) {
  if (present.peek().get(userId) === status) return;
  const next = new Map(present.peek());
  if (status) next.set(userId, status);
  else next.delete(userId);
  present.value = next;
}

export function nameOf(userId) {
  return cards.value.get(userId)?.name ?? "Somebody";
}

/** What stands after an `@` so that the server finds the person. */
export function handleOf(user) {
  return user.username ?? user.userId;
}

export function forgetPeople() {
  me.value = null;
  cards.value = new Map();
  present.value = new Map();
}
