/** From plain text to what people read. Nothing here makes HTML: text becomes text nodes, links become elements. */
import { html } from "./lib.js";
import { cards, handleOf, me } from "./store/people.js";

const TOKEN = /(https?:\/\/[^\s<>"']{1,2000})|(?<![\p{L}\p{N}_@])@([\p{L}\p{N}_][\p{L}\p{N}_.-]{0,63})|`([^`\n]{1,500})`|\*\*([^*\n]{1,500})\*\*/gu;
const TRAILING = /[.,:;!?)\]}'"]+$/;
const locale = navigator.language;
const time = new Intl.DateTimeFormat(locale, { hour: "2-digit", minute: "2-digit" });
const weekday = new Intl.DateTimeFormat(locale, { weekday: "long" });
const dayAndMonth = new Intl.DateTimeFormat(locale, { day: "numeric", month: "long" });
const fullDay = new Intl.DateTimeFormat(locale, { day: "numeric", month: "long", year: "numeric" });
const exact = new Intl.DateTimeFormat(locale, { dateStyle: "full", timeStyle: "medium" });
const DAY_MS = 86_400_000;

export const clock = (iso) => time.format(new Date(iso));
export const exactly = (iso) => exact.format(new Date(iso));
export const dayKey = (iso) => new Date(iso).toDateString();

export function dayName(iso, now = new Date()) {
  const day = new Date(iso);
  const days = Math.round((new Date(now).setHours(0, 0, 0, 0) - new Date(day).setHours(0, 0, 0, 0)) / DAY_MS);
  if (days === 0) return "Today";
  if (days === 1) return "Yesterday";
  if (days > 1 && days < 7) return weekday.format(day);
  return (day.getFullYear() === now.getFullYear() ? dayAndMonth : fullDay).format(day);
}

/** For a list: the time today, else the day. */
export function shortMoment(iso) {
  const name = dayName(iso);
  return name === "Today" ? clock(iso) : name === "Yesterday" ? name : dayAndMonth.format(new Date(iso));
}

export function fileSize(bytes) {
  if (bytes < 1024) return `${bytes} B`;
  if (bytes < 1024 ** 2) return `${Math.round(bytes / 1024)} KiB`;
  return `${(bytes / 1024 ** 2).toFixed(1)} MiB`;
}

/** Links, mentions, `code` and **strong**; everything else as it was written. */
export function rich(content) {
  const parts = [];
  let from = 0;
  for (const found of content.matchAll(TOKEN)) {
    parts.push(content.slice(from, found.index));
    const [whole, url, handle, code, strong] = found;
    from = found.index + whole.length;
    if (url) {
      const tail = url.match(TRAILING)?.[0] ?? "";
      parts.push(link(url.slice(0, url.length - tail.length)), tail);
    } else if (handle) parts.push(mentioned(handle, whole));
    else parts.push(code ? html`<code>${code}</code>` : html`<strong>${strong}</strong>`);
  }
  parts.push(content.slice(from));
  return parts;
}

function link(url) {
  let address;
  try {
    address = new URL(url);
  } catch {
    return url;
  }
  return html`<a href=${address.href} target="_blank" rel="noopener noreferrer nofollow">${url}</a>`;
}

function mentioned(handle, whole) {
  const wanted = handle.toLowerCase();
  for (const user of cards.value.values()) {
    if (handleOf(user).toLowerCase() === wanted || user.userId.toLowerCase() === wanted) {
      return html`<span class=${`mention ${user.userId === me.value?.userId ? "mention-me" : ""}`}>@${user.name}</span>`;
    }
  }
  return whole;
}

const EMOJI_ONLY = /^(?:\p{Extended_Pictographic}[\p{Emoji_Modifier}\u200d\ufe0f\p{Extended_Pictographic}]*\s*){1,5}$/u;
export const isEmojiOnly = (content) => EMOJI_ONLY.test(content);
export const bytesOf = (text) => new TextEncoder().encode(text.trim()).length;
export const plural = (count, one, many = `${one}s`) => `${count.toLocaleString(locale)} ${count === 1 ? one : many}`;
