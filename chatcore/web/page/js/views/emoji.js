/** A small choice of emoji: enough to react with, without a library of thousands. */
import { html, useEffect, useLayoutEffect, useRef } from "../lib.js";

const EMOJI = [
  ["👍", "thumbs up"], ["❤️", "heart"], ["😂", "laughing"], ["🎉", "party"], ["😮", "surprised"], ["🙏", "thanks"],
  ["🙂", "smile"], ["😊", "happy"], ["😍", "in love"], ["😉", "wink"], ["🤔", "thinking"], ["😅", "relieved"],
  ["😢", "sad"], ["😭", "crying"], ["😡", "angry"], ["😴", "sleepy"], ["🤯", "mind blown"], ["🥳", "celebrating"],
  ["👏", "clapping"], ["🙌", "hooray"], ["💪", "strong"], ["👀", "eyes"], ["🤝", "handshake"], ["✌️", "peace"],
  ["👎", "thumbs down"], ["🔥", "fire"], ["✨", "sparkles"], ["💡", "idea"], ["✅", "done"], ["❌", "no"],
  ["⭐", "star"], ["🚀", "rocket"], ["☕", "coffee"], ["🍕", "pizza"], ["🌱", "seedling"], ["🐛", "bug"],
];
const COLUMNS = 6;

export function EmojiPicker({ onPick, onClose, class: kind = "" }) {
  const element = useRef(null);
  useLayoutEffect(() => {
    const before = document.activeElement;
    element.current.querySelector("button").focus();
    return () => { if (element.current?.contains(document.activeElement) || document.activeElement === document.body) before?.focus?.(); };
  }, []);
  useEffect(() => {
    const elsewhere = (event) => element.current?.contains(event.target) || onClose();
    document.addEventListener("pointerdown", elsewhere, true);
    return () => document.removeEventListener("pointerdown", elsewhere, true);
  }, []);
  const move = (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: COLUMNS, ArrowUp: -COLUMNS }[event.key];
    if (step) {
      event.preventDefault();
      const buttons = [...element.current.querySelectorAll("button")];
      buttons[(buttons.indexOf(document.activeElement) + step + buttons.length) % buttons.length].focus();
    } else if (event.key === "Escape" || event.key === "Tab") {
      event.stopPropagation();
      onClose();
    }
  };
  return html`<div ref=${element} class=${`emoji-picker ${kind}`} role="menu" aria-label="Emoji" onKeyDown=${move}>
    ${EMOJI.map(([emoji, name]) => html`<button type="button" role="menuitem" tabindex="-1" aria-label=${name} title=${name} onClick=${() => onPick(emoji)}>${emoji}</button>`)}
  </div>`;
}
