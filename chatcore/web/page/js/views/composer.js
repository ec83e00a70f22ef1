/** Where one writes: text, replies and edits, mentions, emoji, files, and what the machine suggests. */
import { upload } from "../api.js";
import { html, useEffect, useRef, useSignal } from "../lib.js";
import { edit, send } from "../store/messages.js";
import { notice, tried } from "../store/notices.js";
import { handleOf, me, nameOf } from "../store/people.js";
import { facts } from "../store/session.js";
import { askCompletion, askReplies, completionDelay, ghost, mayAsk, rate } from "../store/suggestions.js";
import { tellTyping } from "../store/typing.js";
import { bytesOf, fileSize } from "../text.js";
import { EmojiPicker } from "./emoji.js";
import { Avatar, Icon, IconButton } from "./parts.js";
import { startEditing } from "./message.js";

const MAX_BYTES = 4096;
const WARN_BYTES = 3600;
const COMPLETE_AFTER_MS = 700;

export function Composer({ group }) {
  const field = useRef(null);
  const chooser = useRef(null);
  const text = useSignal(group.draft);
  const mention = useSignal(null);
  const choosing = useSignal(false);
  const attached = useSignal([]);
  const editing = group.editing.value;
  const answering = group.answering.value;

  useEffect(() => {
    text.value = editing ? editing.content : group.draft;
    resize(field.current);
    if (matchMedia("(pointer: fine)").matches) field.current.focus();
  }, [group, editing]);
  useEffect(() => resize(field.current), [text.value]);
  useEffect(() => {
    ghost.value = null;
    if (editing || !mayAsk(group)) return;
    const timer = setTimeout(() => askCompletion(group, text.peek()), completionDelay(COMPLETE_AFTER_MS));
    return () => clearTimeout(timer);
  }, [text.value, group]);

  const write = (value, caret) => {
    text.value = value;
    if (!editing) group.draft = value;
    field.current.value = value;
    field.current.focus();
    field.current.setSelectionRange(caret ?? value.length, caret ?? value.length);
  };
  const input = (event) => {
    text.value = event.target.value;
    if (!editing) group.draft = text.value;
    tellTyping(group, text.value.trim() !== "");
    mention.value = mentionAt(group, event.target);
  };
  const submit = async (event) => {
    event?.preventDefault();
    const content = text.value.trim();
    if (editing) return finishEditing(group, editing, content, write);
    const files = attached.value;
    if (!content && !files.length) return;
    if (bytesOf(content) > MAX_BYTES) return notice(`A message takes ${MAX_BYTES} bytes at most; split it.`, "bad");
    if (files.some((one) => !one.mediaId)) return notice("A file is still on its way; wait for it or take it off.", "bad");
    ghost.value = null;
    group.suggestions.value = null;
    attached.value = [];
    write("");
    files.forEach((one, index) => send(group, index === 0 ? content : "", asMedia(one)));
    if (!files.length) await send(group, content);
  };
  const keys = (event) => {
    if (mention.value && chosenByKey(event, mention, (user) => write(...withMention(text.value, mention.value, user)))) return;
    const offer = ghost.value;
    if (event.key === "Tab" && offer && offer.forText === text.value && !event.shiftKey) {
      event.preventDefault();
      rate(offer.suggestionId, "accepted");
      ghost.value = null;
      return write(text.value + offer.suggestion);
    }
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) return submit(event);
    if (event.key === "Escape") {
      ghost.value = null;
      group.editing.value = null;
      group.answering.value = null;
    }
    if (event.key === "ArrowUp" && text.value === "" && !editing) editLast(group);
  };
  const addFiles = (files) => {
    for (const file of files) attach(group, attached, file);
  };
  const pasted = (event) => event.clipboardData?.files.length && (event.preventDefault(), addFiles(event.clipboardData.files));

  return html`
    <form class="composer" aria-label="Write a message" onSubmit=${submit}
      onDragOver=${(event) => event.preventDefault()} onDrop=${(event) => { event.preventDefault(); addFiles(event.dataTransfer.files); }}>
      <${Suggestions} group=${group} onPick=${(value) => write(value)} />
      ${(answering || editing) && html`
        <div class="context"><${Icon} name=${editing ? "edit" : "reply"} size=${17} />
          <span class="context-words"><b>${editing ? "Edit your message" : `Reply to ${nameOf(answering.senderId)}`}</b><span>${(editing ?? answering).content.slice(0, 120)}</span></span>
          <${IconButton} small icon="close" label="Leave it" onClick=${() => { group.editing.value = null; group.answering.value = null; }} />
        </div>`}
      ${attached.value.length > 0 && html`<div class="attached">${attached.value.map((one) => html`<${Attached} one=${one} attached=${attached} />`)}</div>`}
      ${mention.value && html`<${MentionList} mention=${mention} onPick=${(user) => { write(...withMention(text.value, mention.value, user)); mention.value = null; }} />`}
      <div class="composer-row">
        <${IconButton} icon="clip" label="Attach files" onClick=${() => chooser.current.click()} />
        <input ref=${chooser} type="file" multiple hidden aria-hidden="true" tabindex="-1" onChange=${(event) => { addFiles(event.target.files); event.target.value = ""; }} />
        <div class="field-box">
          <textarea id="composer-text" ref=${field} rows="1" placeholder="Write a message" aria-label="Message"
            role="combobox" aria-expanded=${mention.value !== null} aria-autocomplete="list" aria-controls="mention-list" aria-activedescendant=${mention.value ? `mention-${mention.value.at}` : undefined}
            value=${text.value} onInput=${input} onKeyDown=${keys} onPaste=${pasted} onBlur=${() => tellTyping(group, false)}></textarea>
          ${ghost.value && ghost.value.forText === text.value && html`<${Ghost} onPick=${write} text=${text.value} />`}
        </div>
        ${bytesOf(text.value) > WARN_BYTES && html`<span class=${`bytes ${bytesOf(text.value) > MAX_BYTES ? "bad" : ""}`}>${MAX_BYTES - bytesOf(text.value)}</span>`}
        <div class="with-popup">
          <${IconButton} icon="smile" label="Emoji" expanded=${choosing.value} onClick=${() => { choosing.value = !choosing.value; }} />
          ${choosing.value && html`<${EmojiPicker} class="above" onClose=${() => { choosing.value = false; }} onPick=${(emoji) => { choosing.value = false; write(text.value + emoji); }} />`}
        </div>
        ${mayAsk(group) && html`<${IconButton} icon="spark" label="Suggest replies" onClick=${() => askReplies(group)} />`}
        <button class="send" aria-label=${editing ? "Save the change" : "Send"} title=${editing ? "Save the change" : "Send"} disabled=${!text.value.trim() && !attached.value.length}>
          <${Icon} name=${editing ? "check" : "send"} size=${20} /></button>
      </div>
    </form>`;
}

function resize(area) {
  area.style.height = "auto";
  area.style.height = `${Math.min(area.scrollHeight, 160)}px`;
}

async function finishEditing(group, message, content, write) {
  if (!content) return notice("An empty message is a deleted one: use Delete instead.", "bad");
  if (content !== message.content && !(await tried(edit(group, message, content)))) return;
  group.editing.value = null;
  write(group.draft);
}

function editLast(group) {
  const last = group.timeline.messages.peek().findLast((message) => message.senderId === me.peek().userId && message.type === "text" && !message.isDeleted);
  if (last) startEditing(group, last);
}

function Ghost({ text, onPick }) {
  const offer = ghost.value;
  const take = () => {
    rate(offer.suggestionId, "accepted");
    ghost.value = null;
    onPick(text + offer.suggestion);
  };
  const no = () => {
    rate(offer.suggestionId, "dismissed");
    ghost.value = null;
  };
  return html`<div class="ghost" role="status"><${Icon} name="spark" size=${15} />
    <button type="button" class="ghost-text" onClick=${take}>${offer.suggestion}</button><kbd>Tab</kbd>
    <${IconButton} small icon="close" label="Not this suggestion" onClick=${no} /></div>`;
}

function Suggestions({ group, onPick }) {
  const offer = group.suggestions.value;
  if (!offer) return null;
  const drop = () => {
    for (const item of offer.items) rate(item.suggestionId, "dismissed");
    group.suggestions.value = null;
  };
  const pick = (item) => {
    rate(item.suggestionId, "accepted");
    group.suggestions.value = null;
    onPick(item.text);
  };
  return html`<div class="suggestions" role="group" aria-label="Suggested replies">
    <span class="suggestions-label"><${Icon} name="spark" size=${16} />${
      offer.state === "asking" ? "Thinking" : offer.state === "none" ? "No suggestion fits here" : offer.degraded ? "Suggestions (small model)" : "Suggestions"}</span>
    ${offer.items.map((item) => html`<span class="chip">
      <button type="button" class="chip-text" onClick=${() => pick(item)}>${item.text}</button>
      <${Thumb} item=${item} rating="helpful" icon="up" label="A good suggestion" /><${Thumb} item=${item} rating="not_helpful" icon="away" label="A bad suggestion" />
    </span>`)}
    <${IconButton} small icon="close" label="No suggestions" onClick=${drop} />
  </div>`;
}

function Thumb({ item, rating, icon, label }) {
  const given = useSignal(false);
  return html`<${IconButton} small icon=${icon} label=${label} pressed=${given.value} onClick=${() => { given.value = true; rate(item.suggestionId, rating); }} />`;
}

// --- mentions

function mentionAt(group, area) {
  if (area.selectionStart !== area.selectionEnd) return null;
  const found = area.value.slice(0, area.selectionStart).match(/(?:^|\s)@([\w.-]{0,40})$/u);
  if (!found) return null;
  const wanted = found[1].toLowerCase();
  const users = [...(group.members.peek()?.values() ?? [])].map((member) => member.user).filter((user) => user.userId !== me.peek().userId
    && (handleOf(user).toLowerCase().startsWith(wanted) || user.name.toLowerCase().split(/\s+/).some((word) => word.startsWith(wanted)))).slice(0, 6);
  return users.length ? { from: area.selectionStart - found[1].length - 1, to: area.selectionStart, users, at: 0 } : null;
}

function chosenByKey(event, mention, pick) {
  const { users, at } = mention.value;
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (step) {
    event.preventDefault();
    mention.value = { ...mention.value, at: (at + step + users.length) % users.length };
    return true;
  }
  if (event.key === "Enter" || event.key === "Tab") {
    event.preventDefault();
    pick(users[at]);
    mention.value = null;
    return true;
  }
  if (event.key === "Escape") {
    event.stopPropagation();
    mention.value = null;
    return true;
  }
  return false;
}

function withMention(text, mention, user) {
  const put = `@${handleOf(user)} `;
  return [text.slice(0, mention.from) + put + text.slice(mention.to), mention.from + put.length];
}

function MentionList({ mention, onPick }) {
  return html`<div id="mention-list" class="mention-list" role="listbox" aria-label="People">
    ${mention.value.users.map((user, index) => html`
      <div id=${`mention-${index}`} role="option" aria-selected=${index === mention.value.at} onMouseDown=${(event) => { event.preventDefault(); onPick(user); }}>
        <${Avatar} id=${user.userId} name=${user.name} size=${26} /><b>${user.name}</b><span class="muted">@${handleOf(user)}</span></div>`)}
  </div>`;
}

// --- files

function attach(group, attached, file) {
  if (file.size > facts.maxFileSize) return notice(`${file.name} is larger than ${fileSize(facts.maxFileSize)}.`, "bad");
  const id = crypto.randomUUID();
  const stop = new AbortController();
  const put = (fields) => { attached.value = attached.value.map((one) => (one.id === id ? { ...one, ...fields } : one)); };
  const localUrl = file.type.startsWith("image/") && file.type !== "image/svg+xml" ? URL.createObjectURL(file) : "";
  attached.value = [...attached.value, { id, file, stop, localUrl, share: 0 }];
  upload(file, group.id, (share) => put({ share }), stop.signal).then(
    (media) => put({ share: 1, mediaId: media._id, media }),
    (error) => {
      attached.value = attached.value.filter((one) => one.id !== id);
      if (error.code !== "aborted") notice(`${file.name}: ${error.message}`, "bad");
    },
  );
}

function asMedia({ media, localUrl }) {
  const { _id, type, mediaUrl, mediaMetadata } = media;
  return { type, mediaId: _id, preview: { mediaUrl, mediaMetadata, ...(type === "image" && localUrl ? { localUrl } : {}) } };
}

function Attached({ one, attached }) {
  const off = () => {
    one.stop.abort();
    attached.value = attached.value.filter((other) => other.id !== one.id);
  };
  return html`<div class="attached-one">
    ${one.localUrl ? html`<img src=${one.localUrl} alt="" />` : html`<span class="file-icon"><${Icon} name="file" size=${22} /></span>`}
    <span class="file-words"><b>${one.file.name}</b><small>${fileSize(one.file.size)}</small>
      ${one.share < 1 ? html`<progress max="1" value=${one.share} aria-label=${`Upload of ${one.file.name}`}></progress>` : !one.mediaId ? html`<small>Being checked</small>` : null}</span>
    <${IconButton} small icon="close" label=${`Take ${one.file.name} off`} onClick=${off} />
  </div>`;
}

