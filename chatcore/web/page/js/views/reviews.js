/** The reviewers' work: messages that were flagged or reported, and appeals. */
import { query, rest } from "../api.js";
import { html, useEffect, useSignal } from "../lib.js";
import { notice, tried } from "../store/notices.js";
import { me, meet, nameOf } from "../store/people.js";
import { go } from "../route.js";
import { exactly, plural, shortMoment } from "../text.js";
import { AuditList } from "./audit.js";
import { Dialog, Empty, Icon, IconButton, PersonAvatar, Spinner } from "./parts.js";

const TABS = [["open", "Open"], ["assigned", "Taken"], ["resolved", "Resolved"], ["appeals", "Appeals"], ["audit", "Audit"]];
const SOURCES = { flag: "Flagged by moderation", report: "Reported", sample: "Drawn as a sample", unchecked: "Not checked by a model" };
const OUTCOMES = [["dismiss", "Keep it"], ["restore", "Restore"], ["remove", "Remove"], ["warn", "Warn"], ["kick", "Kick"], ["ban", "Ban"]];

export function Reviews() {
  const tab = useSignal("open");
  const list = useSignal(null);
  const failure = useSignal("");
  const isAppeals = tab.value === "appeals";
  const load = async (cursor) => {
    const asked = tab.peek();
    try {
      const answer = await rest("GET", isAppeals ? `/admin/appeals${query({ cursor })}` : `/admin/reviews${query({ state: tab.value, cursor })}`);
      if (tab.peek() !== asked) return;
      const items = isAppeals ? answer.appeals : answer.reviews;
      if (!isAppeals) meet(items.map((review) => review.author));
      list.value = { items: cursor ? [...list.peek().items, ...items] : items, next: answer.hasMore ? answer.next : undefined };
    } catch (error) {
      failure.value = error.code === "not_found" || error.code === "method_not_allowed" ? "This server has no review queue." : error.message;
    }
  };
  useEffect(() => {
    list.value = null;
    failure.value = "";
    if (tab.value !== "audit") void load();
  }, [tab.value]);
  const gone = (id) => { list.value = list.value && { ...list.value, items: list.value.items.filter((one) => one._id !== id) }; };
  return html`
    <main class="page" aria-label="Reviews">
      <header class="page-top"><${IconButton} class="only-narrow" icon="back" label="Back to the conversations" onClick=${() => go("/")} /><h2>Reviews</h2></header>
      <div class="page-body">
        <div class="tabs narrow" role="tablist" aria-label="Which">${TABS.map(([id, label]) => html`<button type="button" role="tab" aria-selected=${tab.value === id} onClick=${() => { tab.value = id; }}>${label}</button>`)}</div>
        ${failure.value && html`<p class="failure" role="alert">${failure.value}</p>`}
        ${tab.value === "audit" && html`<${AuditList} />`}
        ${tab.value !== "audit" && !list.value && !failure.value && html`<div class="centred"><${Spinner} /></div>`}
        ${list.value?.items.length === 0 && html`<${Empty} title="Nothing waits here"><p>New ones appear when messages are flagged or reported.</p></${Empty}>`}
        <ul class="cases">${list.value?.items.map((one) => html`<li key=${one._id}>${isAppeals
          ? html`<${AppealCase} appeal=${one} onDone=${() => gone(one._id)} />` : html`<${ReviewCase} review=${one} onDone=${() => gone(one._id)} />`}</li>`)}</ul>
        ${list.value?.next && html`<button type="button" class="button" onClick=${() => load(list.value.next)}>More</button>`}
      </div>
    </main>`;
}

function ReviewCase({ review, onDone }) {
  const note = useSignal(null);
  const assign = async () => { if (await tried(rest("POST", `/admin/reviews/${review._id}/assign`, {}))) onDone(); };
  const resolve = async (resolution, words = "") => {
    if (await tried(rest("POST", `/admin/reviews/${review._id}/resolve`, { resolution, note: words }))) {
      notice("Resolved.");
      onDone();
    }
  };
  const mine = review.author.userId === me.value?.userId;
  return html`<article class="case" aria-label=${`Message of ${review.author.name}`}>
    <header><${PersonAvatar} userId=${review.author.userId} size=${34} /><span class="case-words"><b>${review.author.name}</b><small class="muted">${review.groupName}, <time title=${exactly(review.createdAt)}>${shortMoment(review.createdAt)}</time></small></span>
      <${Facts} review=${review} /></header>
    <blockquote class=${`cited ${review.isDeleted ? "struck" : ""}`}>${review.content || "An attachment without words"}</blockquote>
    ${review.state === "resolved" ? html`<p class="small muted">${review.resolution} by ${nameOf(review.resolvedBy)}${review.note ? `: ${review.note}` : ""}</p>`
      : mine ? html`<p class="small muted">This is your own message; somebody else has to look at it.</p>`
      : html`<footer class="case-actions">
        ${review.state === "open" && html`<button type="button" class="button small" onClick=${assign}><${Icon} name="check" size=${16} />Take it</button>`}
        ${OUTCOMES.filter(([id]) => id !== "restore" || review.isDeleted || review.action !== "flag").map(([id, label]) => html`<button type="button" class=${`button small ${id === "remove" || id === "ban" || id === "kick" ? "bad" : ""}`}
          onClick=${() => (id === "dismiss" || id === "restore" ? resolve(id) : (note.value = { id, label }))}>${label}</button>`)}
      </footer>`}
    ${note.value && html`<${NoteDialog} title=${note.value.label} label="A word to the author, or for the record" onClose=${() => { note.value = null; }} onGive=${(words) => resolve(note.value.id, words)} />`}
  </article>`;
}

const Facts = ({ review }) => html`<span class="facts">
  <span class=${`fact ${review.source}`}>${SOURCES[review.source] ?? review.source}${review.reports > 1 ? `, ${plural(review.reports, "report")}` : ""}</span>
  ${review.category && html`<span class="fact">${review.category} ${review.score ? review.score.toFixed(2) : ""}</span>`}
  ${review.action !== "allow" && html`<span class="fact">${review.action}</span>`}</span>`;

function AppealCase({ appeal, onDone }) {
  const note = useSignal(null);
  const resolve = async (outcome, words) => {
    if (await tried(rest("POST", `/admin/appeals/${appeal._id}/resolve`, { outcome, note: words }))) {
      notice(outcome === "upheld" ? "Upheld: the author may say it." : "Denied.");
      onDone();
    }
  };
  return html`<article class="case" aria-label=${`Appeal of ${nameOf(appeal.userId)}`}>
    <header><${PersonAvatar} userId=${appeal.userId} size=${34} /><span class="case-words"><b>${nameOf(appeal.userId) === "Somebody" ? appeal.userId : nameOf(appeal.userId)}</b><small class="muted"><time title=${exactly(appeal.createdAt)}>${shortMoment(appeal.createdAt)}</time></small></span>
      <span class="facts"><span class="fact">${appeal.category}</span></span></header>
    <blockquote class="cited">${appeal.content ?? "The text is not kept any more"}</blockquote>
    <p><b>Their reason:</b> ${appeal.reason}</p>
    ${appeal.state === "open" && html`<footer class="case-actions">
      <button type="button" class="button small primary" onClick=${() => { note.value = "upheld"; }}>Uphold</button>
      <button type="button" class="button small" onClick=${() => { note.value = "denied"; }}>Deny</button></footer>`}
    ${note.value && html`<${NoteDialog} title=${note.value === "upheld" ? "Uphold the appeal" : "Deny the appeal"} label="A word to the author" onClose=${() => { note.value = null; }} onGive=${(words) => resolve(note.value, words)} />`}
  </article>`;
}

function NoteDialog({ title, label, onGive, onClose }) {
  const submit = (event) => {
    event.preventDefault();
    onGive(new FormData(event.target).get("note"));
    onClose();
  };
  return html`<${Dialog} title=${title} onClose=${onClose}><form onSubmit=${submit}>
    <label class="field">${label}<textarea name="note" rows="3" maxlength="500" autofocus></textarea></label>
    <footer class="dialog-actions"><button type="button" class="button" onClick=${onClose}>Cancel</button><button class="button primary">${title}</button></footer>
  </form></${Dialog}>`;
}
