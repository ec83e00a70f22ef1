/** Search by meaning and words in what one may read. Hidden where the server has no such route. */
import { rest } from "../api.js";
import { html, signal, useEffect, useSignal } from "../lib.js";
import { nameOf } from "../store/people.js";
import { shortMoment } from "../text.js";
import { Empty, IconButton, PersonAvatar, Spinner, useSettled } from "./parts.js";
import { jump } from "./timeline.js";

export const searchOffered = signal(true);

export function SearchPanel({ group, onClose }) {
  const text = useSignal("");
  const found = useSignal(null);
  const busy = useSignal(false);
  const degraded = useSignal(false);
  const settled = useSettled(text.value.trim(), 350);
  useEffect(() => {
    let current = true;
    if (settled.length < 2) {
      found.value = null;
      return undefined;
    }
    busy.value = true;
    rest("POST", "/ai/search", { query: settled, groupId: group.id, limit: 20 }).then(
      (answer) => {
        if (!current) return;
        found.value = answer.results;
        degraded.value = answer.degraded ?? false;
      },
      (error) => {
        if (["not_found", "method_not_allowed", "capability_unavailable"].includes(error.code)) {
          searchOffered.value = false;
          onClose();
        } else if (current) found.value = { failure: error.message };
      },
    ).finally(() => { if (current) busy.value = false; });
    return () => { current = false; };
  }, [settled]);
  const show = (hit) => {
    const known = group.timeline.find(hit.messageId);
    jump.value = { groupId: group.id, messageId: hit.messageId, seq: known?.seq ?? hit.seq ?? 0 };
    if (matchMedia("(max-width: 900px)").matches) onClose();
  };
  const list = Array.isArray(found.value) ? found.value : null;
  return html`
    <aside class="panel" aria-label="Search">
      <header class="panel-top"><h2>Search</h2><${IconButton} icon="close" label="Close the search" onClick=${onClose} /></header>
      <div class="panel-body">
        <label class="field">In this conversation<input type="search" autofocus value=${text.value} onInput=${(event) => { text.value = event.target.value; }} /></label>
        <div aria-live="polite" class="hidden">${list ? `${list.length} results` : ""}</div>
        ${busy.value && html`<${Spinner} label="Searching" />`}
        ${found.value?.failure && html`<p class="failure" role="alert">${found.value.failure}</p>`}
        ${list?.length === 0 && html`<${Empty} title="Nothing fits" />`}
        <ul class="hits">${list?.map((hit) => html`<li><button type="button" class="hit" onClick=${() => show(hit)}>
          <span class="hit-line">${hit.senderId && html`<${PersonAvatar} userId=${hit.senderId} size=${22} /><b>${nameOf(hit.senderId)}</b>`}${hit.createdAt && html`<time>${shortMoment(hit.createdAt)}</time>`}</span>
          <span>${hit.content}</span></button></li>`)}</ul>
        ${degraded.value && list?.length > 0 && html`<p class="small muted">Found by a small model; meanings may be missed.</p>`}
      </div>
    </aside>`;
}
