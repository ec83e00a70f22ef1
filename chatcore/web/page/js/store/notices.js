/** Short words to the person, gone by themselves; a live region reads them out. */
import { signal } from "../lib.js";

const SHOWN_MS = 6_000;
let last = 0;

/** @type {import("../lib.js").Signal<{id: number, text: string, kind: "info" | "bad"}[]>} */
export const notices = signal([]);

export function notice(text, kind = "info") {
  const id = (last += 1);
  notices.value = [...notices.value.slice(-2), { id, text, kind }];
  setTimeout(() => dismiss(id), SHOWN_MS);
}

export function dismiss(id) {
  notices.value = notices.value.filter((one) => one.id !== id);
}

/** Run what a person asked for; a refusal becomes a notice. True where it went well. */
export async function tried(work) {
  try {
    await work;
    return true;
  } catch (error) {
    notice(error.message, "bad");
    return false;
  }
}
