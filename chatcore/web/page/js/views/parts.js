/** Small parts that every view uses: icons, avatars, buttons, dialogs, menus. */
import { html, useEffect, useLayoutEffect, useRef, useState } from "../lib.js";
import { cards, present } from "../store/people.js";

const PATHS = {
  send: "M4 12l16-8-6 17-3-7-7-2z",
  plus: "M12 5v14M5 12h14",
  close: "M6 6l12 12M18 6L6 18",
  back: "M15 5l-7 7 7 7",
  down: "M12 5v14M6 13l6 6 6-6",
  search: "M11 4a7 7 0 1 0 0 14 7 7 0 0 0 0-14zM16.500 16.500L21 21",
  people: "M9 11a3.500 3.500 0 1 0 0-7 3.500 3.500 0 0 0 0 7zM2.500 20c0-3.600 2.900-6 6.500-6s6.500 2.400 6.500 6M16 4.500a3.500 3.500 0 0 1 0 6.500M18 14.500c2.200.8 3.500 2.800 3.500 5.500",
  pin: "M9 4h6l-.7 6 3.200 3.500H6.500L9.700 10 9 4zM12 13.500V21",
  reply: "M10 7L4 12l6 5v-3.500c5 0 8 1.500 10 5 0-6-4-9-10-9V7z",
  edit: "M4 20l1-4L16 5l3 3L8 19l-4 1zM14 7l3 3",
  trash: "M5 7h14M10 7V4h4v3M7 7l1 13h8l1-13",
  flag: "M6 21V4h11l-2 4 2 4H6",
  smile: "M12 3.500a8.500 8.500 0 1 0 0 17 8.500 8.500 0 0 0 0-17zM8.500 14.500c1.800 2.300 5.200 2.300 7 0M9 9.500h.01M15 9.500h.01",
  clip: "M20 11l-8.500 8.500a5 5 0 0 1-7-7L13 4a3.300 3.300 0 0 1 4.700 4.700L9.500 17a1.700 1.700 0 0 1-2.400-2.400l7.400-7.400",
  spark: "M12 3l2 6.500L20.500 12 14 14.500 12 21l-2-6.500L3.500 12 10 9.500 12 3z",
  more: "M4.500 12a.7.7 0 1 0 1.400 0 .7.7 0 1 0-1.400 0M11.300 12a.7.7 0 1 0 1.400 0 .7.7 0 1 0-1.400 0M18.100 12a.7.7 0 1 0 1.400 0 .7.7 0 1 0-1.400 0",
  gear: "M12 9a3 3 0 1 0 0 6 3 3 0 0 0 0-6zM19.500 12a7.500 7.500 0 0 0-.1-1.300l2-1.600-2-3.400-2.400.9a7.500 7.500 0 0 0-2.200-1.300L14.400 3h-4l-.4 2.300a7.500 7.500 0 0 0-2.200 1.300l-2.400-.9-2 3.400 2 1.600a7.500 7.500 0 0 0 0 2.600l-2 1.600 2 3.400 2.400-.9a7.500 7.500 0 0 0 2.200 1.300l.4 2.300h4l.4-2.300a7.500 7.500 0 0 0 2.200-1.300l2.400.9 2-3.400-2-1.600c.1-.4.1-.9.1-1.300z",
  check: "M5 12.500l4.500 4.500L19 7.500",
  checks: "M2.500 12.500L7 17l8.500-9.500M11.500 15.500L13 17l8.500-9.500",
  wait: "M12 4a8 8 0 1 0 0 16 8 8 0 0 0 0-16zM12 8v4l2.500 2",
  warn: "M12 4l9 16H3L12 4zM12 10v4.500M12 17.500h.01",
  up: "M7 11v9H4v-9h3zm0 0l4-8c1.700 0 2.500 1 2.500 2.500V9h5a2 2 0 0 1 2 2.300l-1.200 7A2 2 0 0 1 17.300 20H7",
  away: "M17 13V4h3v9h-3zm0 0l-4 8c-1.700 0-2.500-1-2.500-2.500V15h-5a2 2 0 0 1-2-2.300l1.200-7A2 2 0 0 1 6.700 4H17",
  shield: "M12 3l7.500 3v5.500c0 4.500-3 7.800-7.500 9.500-4.500-1.700-7.500-5-7.500-9.500V6L12 3z",
  chart: "M4 20V4M4 20h16M8 16v-4M12.500 16V8M17 16v-6",
  file: "M6 3h8l4 4v14H6V3zM14 3v4h4",
  link: "M10 14a4 4 0 0 0 6 .4l3-3a4 4 0 0 0-5.700-5.700l-1.500 1.500M14 10a4 4 0 0 0-6-.4l-3 3a4 4 0 0 0 5.700 5.700l1.500-1.500",
  out: "M10 4H5v16h5M14 8l4 4-4 4M18 12H9",
  sun: "M12 8a4 4 0 1 0 0 8 4 4 0 0 0 0-8zM12 2.500v2M12 19.500v2M2.500 12h2M19.500 12h2M5.300 5.300l1.400 1.400M17.300 17.300l1.400 1.400M5.300 18.700l1.400-1.400M17.300 6.700l1.400-1.400",
  moon: "M20 14.500A8.500 8.500 0 0 1 9.500 4a8.500 8.500 0 1 0 10.500 10.500z",
  door: "M6 3h12v18H6V3zM14.500 12h.01",
  copy: "M9 9h11v11H9V9zM5 15H4V4h11v1",
  download: "M12 4v11M7 10.500l5 5 5-5M4 20h16",
};

export const Icon = ({ name, size = 20 }) => html`
  <svg class="icon" width=${size} height=${size} viewBox="0 0 24 24" fill="none" stroke="currentColor"
    stroke-width="1.700" stroke-linecap="round" stroke-linejoin="round" aria-hidden="true"><path d=${PATHS[name]} /></svg>`;

export const IconButton = ({ icon, label, onClick, pressed, expanded, small, class: kind = "", ...rest }) => html`
  <button type="button" class=${`icon-button ${small ? "small" : ""} ${kind}`} title=${label} aria-label=${label}
    aria-pressed=${pressed} aria-expanded=${expanded} onClick=${onClick} ...${rest}><${Icon} name=${icon} size=${small ? 17 : 20} /></button>`;

/** The same person has the same colour everywhere: one of twelve, by a hash of the id. */
function hue(id) {
  let hash = 0x811c9dc5;
  for (const letter of id) hash = Math.imul(hash ^ letter.codePointAt(0), 0x01000193);
  hash ^= hash >>> 15;
  return (hash >>> 0) % 12;
}

function initials(name) {
  const words = name.replace(/[^\p{L}\p{N} .-]/gu, "").split(/[\s._-]+/u).filter(Boolean);
  return ((words[0]?.[0] ?? "?") + (words.length > 1 ? words.at(-1)[0] : "")).toUpperCase();
}

export function Avatar({ id, name, size = 36, dot = false, square = false }) {
  const status = dot ? present.value.get(id) : undefined;
  return html`<span class=${`avatar hue-${hue(id)} ${square ? "square" : ""}`} style=${{ width: `${size}px`, height: `${size}px`, fontSize: `${Math.round(size * 0.38)}px` }} aria-hidden="true">
    ${initials(name)}${status && html`<span class=${`dot ${status}`}></span>`}
  </span>`;
}

export const PersonAvatar = ({ userId, size, dot }) =>
  html`<${Avatar} id=${userId} name=${cards.value.get(userId)?.name ?? "?"} size=${size} dot=${dot} />`;

/** A modal dialog of the browser: focus stays inside, Escape closes, focus goes back to where it was. */
export function Dialog({ title, onClose, wide = false, children }) {
  const element = useRef(null);
  useLayoutEffect(() => {
    const dialog = element.current;
    dialog.showModal();
    // Closed while it is still in the document: then the browser gives the focus back.
    return () => dialog.close();
  }, []);
  return html`
    <dialog ref=${element} class=${`dialog ${wide ? "wide" : ""}`} aria-label=${title}
      onCancel=${(event) => { event.preventDefault(); onClose(); }}
      onMouseDown=${(event) => event.target === element.current && onClose()}>
      <div class="dialog-inside">
        <header><h2>${title}</h2><${IconButton} icon="close" label="Close" onClick=${onClose} /></header>
        ${children}
      </div>
    </dialog>`;
}

/** A small list of actions; arrow keys move, Escape and a click elsewhere close. */
export function Menu({ label, items, onClose, class: kind = "" }) {
  const element = useRef(null);
  useLayoutEffect(() => {
    const before = document.activeElement;
    element.current.querySelector("button")?.focus();
    return () => { if (element.current?.contains(document.activeElement) || document.activeElement === document.body) before?.focus?.(); };
  }, []);
  useEffect(() => {
    const elsewhere = (event) => element.current?.contains(event.target) || onClose();
    document.addEventListener("pointerdown", elsewhere, true);
    return () => document.removeEventListener("pointerdown", elsewhere, true);
  }, []);
  const move = (event) => {
    const buttons = [...element.current.querySelectorAll("button")];
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step) {
      event.preventDefault();
      buttons[(buttons.indexOf(document.activeElement) + step + buttons.length) % buttons.length].focus();
    }
    if (event.key === "Escape" || event.key === "Tab") {
      event.stopPropagation();
      onClose();
    }
  };
  return html`<div ref=${element} class=${`menu ${kind}`} role="menu" aria-label=${label} onKeyDown=${move}>
    ${items.filter(Boolean).map((item) => html`
      <button type="button" role="menuitem" tabindex="-1" class=${item.bad ? "bad" : ""} onClick=${() => { onClose(); item.run(); }}>
        ${item.icon && html`<${Icon} name=${item.icon} size=${17} />`}${item.label}
      </button>`)}
  </div>`;
}

export const Spinner = ({ label = "Loading" }) => html`<span class="spinner" role="status"><span class="hidden">${label}</span></span>`;

export const Empty = ({ title, children }) => html`<div class="empty"><p class="empty-title">${title}</p>${children}</div>`;

/** A question with one action, for what cannot be taken back. */
export function Confirm({ title, text, action, onYes, onClose }) {
  return html`<${Dialog} title=${title} onClose=${onClose}>
    <p>${text}</p>
    <footer class="dialog-actions">
      <button type="button" class="button" onClick=${onClose}>Cancel</button>
      <button type="button" class="button bad" autofocus onClick=${() => { onClose(); onYes(); }}>${action}</button>
    </footer>
  </${Dialog}>`;
}

/** A value that settles: it follows after a pause without change. */
export function useSettled(value, milliseconds) {
  const [settled, setSettled] = useState(value);
  useEffect(() => {
    const timer = setTimeout(() => setSettled(value), milliseconds);
    return () => clearTimeout(timer);
  }, [value, milliseconds]);
  return settled;
}
