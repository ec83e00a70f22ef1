/** The conversation: days, the line of what is new, messages, and what waits to be sent. */
import { html, signal, useEffect, useMemo, useRef, useSignal } from "../lib.js";
import { markRead } from "../store/messages.js";
import { onApplied } from "../store/log.js";
import { waiting } from "../store/outbox.js";
import { me, nameOf } from "../store/people.js";
import { dayKey, dayName } from "../text.js";
import { MessageRow, SystemRow } from "./message.js";
import { Empty, Icon, Spinner } from "./parts.js";
import { VirtualList } from "./virtual_list.js";

const SAME_BREATH_MS = 5 * 60_000;
/** {groupId, messageId, seq}: show this message, wherever it is. */
export const jump = signal(null);

/** Where a reader was in each group is kept by the list; this only tells the rows. */
function rowsOf(messages, unsent, newAfter, myId) {
  const rows = [];
  let day = "";
  let before = null;
  let newLine = false;
  for (const message of messages) {
    const today = dayKey(message.createdAt);
    if (today !== day) {
      rows.push({ key: `day-${today}`, kind: "day", text: dayName(message.createdAt), guess: 44, isMark: true });
      day = today;
      before = null;
    }
    if (!newLine && message.n > newAfter && message.type !== "system" && message.senderId !== myId) {
      rows.push({ key: "new", kind: "new", guess: 34, isMark: true });
      newLine = true;
      before = null;
    }
    if (message.type === "system") {
      rows.push({ key: message._id, kind: "system", message, guess: 32 });
      before = null;
      continue;
    }
    const follows = before !== null && before.senderId === message.senderId
      && Date.parse(message.createdAt) - Date.parse(before.createdAt) < SAME_BREATH_MS && !message.replyTo;
    rows.push({ key: message._id, kind: "message", message, follows, guess: guessOf(message, follows) });
    before = message;
  }
  for (const entry of unsent) {
    const follows = before !== null && before.senderId === entry.userId && !entry.replyTo;
    rows.push({ key: entry.tempId, kind: "waiting", entry, follows, guess: 60 });
    before = { senderId: entry.userId, createdAt: entry.createdAt };
  }
  return rows;
}

function guessOf(message, follows) {
  const lines = Math.ceil(message.content.length / 62) + (message.content.match(/\n/g)?.length ?? 0);
  return 20 + 21 * Math.max(1, lines) + (follows ? 0 : 26) + (message.type === "image" ? 240 : 0);
}

export function Timeline({ group }) {
  const list = useRef(null);
  const there = useSignal(true);
  const spoken = useSignal("");
  const flash = useSignal("");
  const timeline = group.timeline;
  const messages = timeline.messages.value;
  const unsent = waiting.value.filter((entry) => entry.groupId === group.id);
  const rows = useMemo(
    () => rowsOf(messages, unsent, group.newAfter.value, me.value?.userId),
    [messages, waiting.value, group.newAfter.value, group.id],
  );

  useEffect(() => {
    const opened = async () => {
      await timeline.load();
      const lastN = timeline.messages.peek().at(-1)?.n ?? 0;
      group.lastN = Math.max(group.lastN, lastN);
      group.newAfter.value = group.unread.peek() > 0 ? lastN - group.unread.peek() : Infinity;
      markRead(group);
    };
    opened().catch(() => {});
  }, [group]);

  // What comes in while one looks at the bottom is read; a screen reader hears it.
  useEffect(() => onApplied((where, entry) => {
    if (where !== group || entry.event !== "new_message") return;
    const isMine = entry.data.senderId === me.peek()?.userId;
    if (isMine) list.current?.toBottom();
    else spoken.value = `${entry.data.sender.name}: ${entry.data.content.slice(0, 200)}`;
    if (there.peek()) markRead(group);
  }), [group]);
  useEffect(() => {
    const back = () => document.visibilityState === "visible" && there.peek() && markRead(group);
    document.addEventListener("visibilitychange", back);
    return () => document.removeEventListener("visibilitychange", back);
  }, [group]);
  useEffect(() => { if (unsent.length) list.current?.toBottom(); }, [unsent.length]);

  const target = jump.value;
  useEffect(() => {
    if (target?.groupId !== group.id) return;
    const go = async () => {
      await timeline.reach(target.seq);
      requestAnimationFrame(() => {
        if (list.current?.toKey(target.messageId)) flash.value = target.messageId;
        setTimeout(() => { flash.value = ""; }, 2_000);
      });
      jump.value = null;
    };
    go().catch(() => {});
  }, [target]);

  const older = () => {
    if (timeline.isLoaded.peek() && timeline.hasOlder.peek() && !timeline.isLoading.peek() && !timeline.failure.peek()) {
      timeline.loadOlder().catch(() => {});
    }
  };
  const onBottom = (isThere) => {
    there.value = isThere;
    if (isThere) markRead(group);
  };
  const row = (item) => html`<${Row} group=${group} item=${item} flash=${flash} />`;

  return html`
    <div class="timeline">
      ${!timeline.isLoaded.value && html`<${Beginning} timeline=${timeline} />`}
      ${timeline.isLoaded.value && rows.length === 0 && html`<${Empty} title="Nothing here yet">Write the first message.</${Empty}>`}
      ${timeline.isLoaded.value && timeline.isLoading.value && html`<div class="older"><${Spinner} label="Loading older messages" /></div>`}
      ${timeline.isLoaded.value && timeline.failure.value && html`<button type="button" class="button older" onClick=${() => timeline.loadOlder().catch(() => {})}>Older messages did not load: try again</button>`}
      ${timeline.isLoaded.value && html`<${VirtualList} key=${group.id} items=${rows} row=${row} onNearTop=${older} onBottom=${onBottom} handle=${list} label=${`Messages`} />`}
      ${!there.value && html`
        <button type="button" class="to-bottom" onClick=${() => list.current.toBottom()} aria-label="Go to the newest messages">
          <${Icon} name="down" size=${18} />${group.unread.value > 0 && html`<span class="badge">${group.unread.value}</span>`}
        </button>`}
      <div class="hidden" aria-live="polite">${spoken.value}</div>
    </div>`;
}

function Beginning({ timeline }) {
  if (!timeline.failure.value) return html`<div class="centred"><${Spinner} label="Loading messages" /></div>`;
  return html`<div class="centred"><${Empty} title="The messages did not load">
    <p>${timeline.failure.value.message}</p>
    <button type="button" class="button" onClick=${() => timeline.load().catch(() => {})}>Try again</button>
  </${Empty}></div>`;
}

function Row({ group, item, flash }) {
  if (item.kind === "day") return html`<div class="day" role="separator"><span>${item.text}</span></div>`;
  if (item.kind === "new") return html`<div class="new-line" role="separator"><span>New</span></div>`;
  if (item.kind === "system") return html`<${SystemRow} message=${item.message} />`;
  return html`<${MessageRow} group=${group} message=${item.message} entry=${item.entry} follows=${item.follows} isFlashing=${flash.value === item.key} />`;
}

export function TypingLine({ group }) {
  const names = [...group.typing.value.keys()].map(nameOf);
  const text = names.length === 0 ? "" : names.length === 1 ? `${names[0]} is typing`
    : names.length === 2 ? `${names[0]} and ${names[1]} are typing` : "Several people are typing";
  return html`<div class="typing" aria-live="polite">${text && html`<span class="typing-dots" aria-hidden="true"><i></i><i></i><i></i></span>${text}`}</div>`;
}

