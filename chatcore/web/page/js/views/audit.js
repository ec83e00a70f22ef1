/** What people with power over others did, newest first, as the chain of the audit has it. */
import { query, rest } from "../api.js";
import { html, useEffect, useSignal } from "../lib.js";
import { cards } from "../store/people.js";
import { exactly, shortMoment } from "../text.js";

const PAGE = 25;

export function AuditList() {
  const list = useSignal({ entries: [], next: undefined, read: false });
  const failure = useSignal("");
  const load = async (before) => {
    try {
      const answer = await rest("GET", `/admin/audit${query({ before, limit: PAGE })}`);
      list.value = { entries: [...(before ? list.peek().entries : []), ...answer.entries], next: answer.hasMore ? answer.next : undefined, read: true };
    } catch (error) {
      failure.value = error.message;
    }
  };
  useEffect(() => { void load(); }, []);
  const { entries, next, read } = list.value;
  return html`<section class="block"><h3>Audit</h3>
    ${failure.value && html`<p class="failure" role="alert">${failure.value}</p>`}
    ${entries.length > 0 && html`<div class="scroller" tabindex="0" role="region" aria-label="Audit"><table><thead><tr><th class="number">No.</th><th>When</th><th>Who</th><th>Did</th><th>To</th><th>Facts</th><th>Seal</th></tr></thead>
      <tbody>${entries.map((one) => html`<tr key=${one.n}><td class="number">${one.n}</td><td><time title=${exactly(one.createdAt)}>${shortMoment(one.createdAt)}</time></td><td>${cards.value.get(one.actor)?.name ?? one.actor}</td><td>${one.action}</td>
        <td><code>${one.target.slice(-12)}</code></td><td class="wrap">${Object.entries(one.facts).map(([name, value]) => `${name}: ${value}`).join(", ")}</td><td><code title=${one.hash}>${one.hash.slice(0, 8)}</code></td></tr>`)}</tbody></table></div>`}
    ${read && entries.length === 0 && html`<p class="muted">Nothing yet: it fills when somebody resolves a review or an appeal.</p>`}
    ${next !== undefined && html`<button type="button" class="button small" onClick=${() => load(next)}>Older ones</button>`}
    ${entries.length > 0 && html`<p class="small muted">Each entry seals the one before it; <code>python -m chatcore audit verify</code> checks the whole chain.</p>`}</section>`;
}
