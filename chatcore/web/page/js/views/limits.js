/** A group's own limits of moderation: from which score on a message is flagged, masked or refused. */
import { html } from "../lib.js";
import { tried } from "../store/notices.js";
import { updateGroup } from "../store/groups.js";
import { Dialog } from "./parts.js";

/** What the models that ship with the server tell apart; a provider knows more, and what is set for those stays. */
const CATEGORIES = [
  ["toxic", "Toxic"], ["harassment", "Harassment"], ["hate", "Hate"], ["hate/threatening", "Hate with threats"], ["violence", "Violence"],
  ["violence/graphic", "Graphic violence"], ["sexual", "Sexual"], ["self-harm", "Self-harm"],
];
const STEPS = [["flag", "Flag"], ["mask", "Mask"], ["block", "Refuse"]];

export function LimitsDialog({ group, onClose }) {
  const kept = group.info.value.settings.moderationLimits ?? {};
  const submit = async (event) => {
    event.preventDefault();
    if (await tried(updateGroup(group, { settings: { moderationLimits: limitsIn(new FormData(event.target), kept) } }))) onClose();
  };
  return html`<${Dialog} title="Moderation limits" onClose=${onClose}><form onSubmit=${submit}>
    <p class="small muted above">From which score, 0 to 1, a message is flagged for reviewers, masked, or refused. Empty: the server's own limit. A limit here can only be stricter than that.</p>
    <div class="scroller" tabindex="0" role="region" aria-label="Limits"><table class="limits"><thead><tr><th>Category</th>${STEPS.map(([, label]) => html`<th>${label}</th>`)}</tr></thead>
      <tbody>${CATEGORIES.map(([id, label]) => html`<tr><th scope="row">${label}</th>${STEPS.map(([step, word]) => html`<td>
        <input name=${`${id} ${step}`} type="number" min="0" max="1" step="0.01" inputmode="decimal" placeholder="–" aria-label=${`${label}, ${word.toLowerCase()}`} value=${kept[id]?.[step] ?? ""} /></td>`)}</tr>`)}</tbody></table></div>
    <footer class="dialog-actions"><button type="button" class="button" onClick=${onClose}>Cancel</button><button class="button primary">Save</button></footer>
  </form></${Dialog}>`;
}

function limitsIn(form, kept) {
  const shown = new Set(CATEGORIES.map(([id]) => id));
  const limits = Object.fromEntries(Object.entries(kept).filter(([id]) => !shown.has(id)));
  for (const [name, value] of form) {
    const [id, step] = name.split(" ");
    if (value !== "") limits[id] = { ...limits[id], [step]: Number(value) };
  }
  return limits;
}
