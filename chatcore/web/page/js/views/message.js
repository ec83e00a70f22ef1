/** One message, and all one can do with it. */
import { html, signal, useSignal } from "../lib.js";
import { mayDelete, mayPin, pin, remove, report, toggleReaction, unpin } from "../store/messages.js";
import { tried, notice } from "../store/notices.js";
import { discard, retry } from "../store/outbox.js";
import { cards, me, nameOf } from "../store/people.js";
import { clock, exactly, isEmojiOnly, rich } from "../text.js";
import { AppealDialog } from "./appeal.js";
import { EmojiPicker } from "./emoji.js";
import { Media } from "./media.js";
import { Confirm, Dialog, Icon, IconButton, Menu, PersonAvatar } from "./parts.js";
import { jump } from "./timeline.js";

export function SystemRow({ message }) {
  return html`<div class="system">${message.content || "The group changed"}<time>${clock(message.createdAt)}</time></div>`;
}

export function MessageRow({ group, message, entry, follows, isFlashing }) {
  const open = useSignal("");
  const shown = message ?? asMessage(entry);
  const isMine = shown.senderId === me.value?.userId;
  const isGone = shown.isDeleted;
  const names = ["message", isMine && "mine", follows && "follows", isFlashing && "flash", open.value && "open",
    entry && "unsent", (entry?.state === "failed" || entry?.state === "rejected") && "bad",
    shown.mentions?.includes(me.value?.userId) && "to-me"];
  const name = cards.value.get(shown.senderId)?.name ?? shown.sender?.name ?? "Somebody";
  return html`
    <article class=${names.filter(Boolean).join(" ")} aria-label=${`${name}, ${clock(shown.createdAt)}`}>
      <div class="gutter">${!follows && !isMine && html`<${PersonAvatar} userId=${shown.senderId} size=${34} dot />`}</div>
      <div class="message-column">
        ${!follows && html`<div class="byline">${!isMine && html`<span class="sender">${name}</span>`}<time title=${exactly(shown.createdAt)}>${clock(shown.createdAt)}</time></div>`}
        ${shown.replyTo && html`<${Quote} group=${group} messageId=${shown.replyTo} />`}
        <div class="bubble-line">
          <div class=${`bubble ${isGone ? "gone" : ""} ${!shown.mediaUrl && isEmojiOnly(shown.content) ? "emoji-only" : ""} ${shown.mediaUrl ? "with-media" : ""}`}>
            <${Content} message=${shown} />
          </div>
          ${!entry && !isGone && html`<${Tools} group=${group} message=${message} open=${open} /><${Open} group=${group} message=${message} open=${open} />`}
        </div>
        ${shown.reactions && html`<${Reactions} group=${group} message=${shown} />`}
        ${isMine && !isGone && html`<${Fate} group=${group} message=${message} entry=${entry} />`}
        ${shown.moderation && shown.moderation.action !== "allow" && !isGone && html`<${Mark} message=${shown} isMine=${isMine} />`}
      </div>
    </article>`;
}

const asMessage = (entry) => ({
  _id: entry.tempId, senderId: entry.userId, sender: me.value, content: entry.content, type: entry.type, replyTo: entry.replyTo,
  createdAt: entry.createdAt, ...(entry.preview ?? {}),
});

function Content({ message }) {
  if (message.isDeleted) return html`<em>This message was deleted</em>`;
  if (message.unavailable) return html`<em>This message cannot be shown: its stored bytes failed their check</em>`;
  return html`
    ${message.mediaUrl && html`<${Media} message=${message} />`}
    ${message.content && html`<div class="text">${rich(message.content)}${isEdited(message) && html`<span class="edited" title=${exactly(message.updatedAt)}> (edited)</span>`}</div>`}`;
}

const isEdited = (message) => message.updatedAt && message.updatedAt !== message.createdAt;

function Quote({ group, messageId }) {
  const original = group.timeline.find(messageId);
  void group.timeline.messages.value;
  const text = !original ? "An earlier message" : original.isDeleted ? "A deleted message" : original.content || original.mediaMetadata?.originalFilename || "An attachment";
  const show = () => original && (jump.value = { groupId: group.id, messageId, seq: original.seq });
  return html`<button type="button" class="quote" onClick=${show} disabled=${!original}>
    ${original && html`<b>${nameOf(original.senderId)}</b>`}<span>${text.slice(0, 140)}</span></button>`;
}

function Tools({ group, message, open }) {
  const toggle = (what) => (event) => {
    side.value = roomierSide(event.currentTarget);
    open.value = open.value === what ? "" : what;
  };
  return html`
    <div class="tools" role="toolbar" aria-label="What to do with this message">
      <${IconButton} small icon="smile" label="React" expanded=${open.value === "react"} onClick=${toggle("react")} />
      <${IconButton} small icon="reply" label="Reply" onClick=${() => answer(group, message)} />
      <${IconButton} small icon="more" label="More" expanded=${open.value === "menu"} onClick=${toggle("menu")} />
    </div>`;
}

/** Of what is opened by a button: only one is open at a time. */
const side = signal("below");

/** Above or below the button, wherever the list shows more. */
function roomierSide(button) {
  const list = button.closest(".virtual").getBoundingClientRect();
  return button.getBoundingClientRect().top > (list.top + list.bottom) / 2 ? "above" : "below";
}

function answer(group, message) {
  group.editing.value = null;
  group.answering.value = message;
  document.querySelector("#composer-text")?.focus();
}

function Open({ group, message, open }) {
  const close = () => { open.value = ""; };
  switch (open.value) {
    case "react":
      return html`<${EmojiPicker} class=${side.value} onClose=${close} onPick=${(emoji) => { close(); void tried(toggleReaction(group, message, emoji)); }} />`;
    case "menu":
      return html`<${Menu} class=${side.value} label="Message" items=${menuOf(group, message, open)} onClose=${close} />`;
    case "delete":
      return html`<${Confirm} title="Delete this message?" text="It stays in its place as a deleted message, for everybody." action="Delete"
        onYes=${() => tried(remove(group, message))} onClose=${close} />`;
    case "report":
      return html`<${ReportDialog} group=${group} message=${message} onClose=${close} />`;
    case "read":
      return html`<${ReadDialog} group=${group} message=${message} onClose=${close} />`;
    default:
      return null;
  }
}

function menuOf(group, message, open) {
  const isMine = message.senderId === me.value?.userId;
  const isPinned = group.pins.value?.some((one) => one._id === message._id);
  const later = (what) => () => setTimeout(() => { open.value = what; });
  const copy = () => navigator.clipboard.writeText(message.content).then(() => notice("Copied."), () => notice("The browser refused to copy.", "bad"));
  return [
    { icon: "reply", label: "Reply", run: () => answer(group, message) },
    message.content && { icon: "copy", label: "Copy text", run: copy },
    isMine && message.type === "text" && { icon: "edit", label: "Edit", run: () => startEditing(group, message) },
    mayPin(group) && { icon: "pin", label: isPinned ? "Unpin" : "Pin", run: () => tried(isPinned ? unpin(group, message) : pin(group, message)) },
    isMine && !group.isDirect && { icon: "checks", label: "Read by", run: later("read") },
    !isMine && { icon: "flag", label: "Report", run: later("report") },
    mayDelete(group, message) && { icon: "trash", label: "Delete", bad: true, run: later("delete") },
  ];
}

export function startEditing(group, message) {
  group.answering.value = null;
  group.editing.value = message;
  setTimeout(() => document.querySelector("#composer-text")?.focus());
}

function Reactions({ group, message }) {
  const mine = group.mine.value.get(message._id);
  return html`<div class="reactions">
    ${Object.entries(message.reactions).map(([emoji, count]) => html`
      <button type="button" class=${`reaction ${mine?.has(emoji) ? "mine" : ""}`} aria-label=${`${emoji} ${count}`} onClick=${() => tried(toggleReaction(group, message, emoji))}>
        <span>${emoji}</span>${count}</button>`)}
  </div>`;
}

/** What became of one's own message: waiting, sent, read, or refused. */
function Fate({ group, message, entry }) {
  if (entry) return html`<${Waiting} entry=${entry} />`;
  const readers = [...(group.members.value?.values() ?? [])].filter((member) => member.userId !== me.value?.userId && (member.readSeq ?? 0) >= message.seq);
  const last = lastOwn(group);
  if (last?._id !== message._id) return null;
  return html`<div class=${`fate ${readers.length ? "read" : ""}`}>
    <${Icon} name=${readers.length ? "checks" : "check"} size=${15} />${readers.length === 0 ? "Sent" : group.isDirect ? "Read" : `Read by ${readers.length}`}
  </div>`;
}

/** Only the newest own message tells: read there is read everywhere above. */
function lastOwn(group) {
  const id = me.value?.userId;
  return group.timeline.messages.value.findLast((message) => message.senderId === id && message.type !== "system" && !message.isDeleted);
}

function Waiting({ entry }) {
  const appealing = useSignal(false);
  if (entry.state === "rejected") {
    return html`<div class="fate bad" role="alert"><${Icon} name="shield" size=${15} />
      Not sent: moderation found ${entry.notice?.category ?? "something that is not allowed here"}.
      ${entry.notice?.appealable && html`<button type="button" class="link" onClick=${() => { appealing.value = true; }}>Appeal</button>`}
      <button type="button" class="link" onClick=${() => discard(entry.tempId)}>Discard</button>
      ${appealing.value && html`<${AppealDialog} decisionId=${entry.notice.decisionId} text=${entry.content} onClose=${() => { appealing.value = false; }} />`}
    </div>`;
  }
  if (entry.state === "failed") {
    return html`<div class="fate bad" role="alert"><${Icon} name="warn" size=${15} />Not sent: ${entry.error}
      <button type="button" class="link" onClick=${() => retry(entry.tempId)}>Try again</button>
      <button type="button" class="link" onClick=${() => discard(entry.tempId)}>Discard</button></div>`;
  }
  return html`<div class="fate"><${Icon} name="wait" size=${15} />${entry.state === "sending" ? "Sending" : entry.error ? `Waiting: ${entry.error}` : "Waiting for the connection"}</div>`;
}

function Mark({ message, isMine }) {
  const appealing = useSignal(false);
  const { action, category, decisionId } = message.moderation;
  const words = { flag: "Flagged for review", mask: "Partly hidden", block: "Hidden" }[action] ?? action;
  return html`<div class="fate"><${Icon} name="shield" size=${15} />${words}${category ? `: ${category}` : ""}
    ${isMine && decisionId && html`<button type="button" class="link" onClick=${() => { appealing.value = true; }}>Appeal</button>`}
    ${appealing.value && html`<${AppealDialog} decisionId=${decisionId} text=${message.content} onClose=${() => { appealing.value = false; }} />`}
  </div>`;
}

function ReportDialog({ group, message, onClose }) {
  const reason = useSignal("");
  const submit = async (event) => {
    event.preventDefault();
    if (await tried(report(group, message, reason.value))) {
      onClose();
      notice("Reported. The people who moderate this group will look at it.");
    }
  };
  return html`<${Dialog} title="Report this message" onClose=${onClose}>
    <form onSubmit=${submit}>
      <label class="field">What is wrong with it?
        <textarea rows="3" maxlength="500" required autofocus value=${reason.value} onInput=${(event) => { reason.value = event.target.value; }}></textarea>
      </label>
      <footer class="dialog-actions"><button type="button" class="button" onClick=${onClose}>Cancel</button><button class="button primary">Report</button></footer>
    </form>
  </${Dialog}>`;
}

function ReadDialog({ group, message, onClose }) {
  const others = [...(group.members.value?.values() ?? [])].filter((member) => member.userId !== me.value?.userId);
  const readers = others.filter((member) => (member.readSeq ?? 0) >= message.seq);
  return html`<${Dialog} title="Read by" onClose=${onClose}>
    ${readers.length === 0 && html`<p class="muted">Nobody yet, as far as people share it.</p>`}
    <ul class="people-list">${readers.map((member) => html`<li><${PersonAvatar} userId=${member.userId} size=${32} /><span>${member.user.name}</span></li>`)}</ul>
    ${others.length > readers.length && html`<p class="muted">${others.length - readers.length} others have not read it, or keep that to themselves.</p>`}
  </${Dialog}>`;
}

