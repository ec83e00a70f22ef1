/** Prompt versions: what answers people now, what is on trial, and the ways from one state to the next. */
import { rest } from "../api.js";
import { html, useEffect, useSignal } from "../lib.js";
import { notice, tried } from "../store/notices.js";
import { me } from "../store/people.js";
import { exactly } from "../text.js";
import { Confirm, Dialog, Icon } from "./parts.js";

const SHOWN_HASH = 12;
const MOVES = {
  draft: ["shadow"],
  shadow: ["canary", "promote", "rollback"],
  canary: ["canary", "promote", "rollback"],
  live: ["rollback"],
  retired: ["shadow"],
};
const WORDS = { shadow: "Run in shadow", canary: "Try on some", promote: "Promote", rollback: "Take out" };
const hashOf = (id) => id.split("@").at(-1).slice(0, SHOWN_HASH);
const nameOf = (one) => `${one.function} ${hashOf(one.versionId)}`;
const pathOf = (one, move = "") => `/admin/prompts/${encodeURIComponent(one.versionId)}${move ? `/${move}` : ""}`;

export function Prompts() {
  const list = useSignal(null);
  const failure = useSignal("");
  const dialog = useSignal(null);
  const load = () => rest("GET", "/admin/prompts").then((answer) => { list.value = contestedFirst(answer.prompts); }, (error) => { failure.value = error.message; });
  useEffect(() => { void load(); }, []);
  const move = async (one, to, body = {}) => {
    if (!(await tried(rest("POST", pathOf(one, to), body)))) return false;
    notice(`${nameOf(one)}: done. Every server process follows within seconds.`);
    await load();
    return true;
  };
  const operates = me.value?.roles.includes("operator");
  const close = () => { dialog.value = null; };
  const chosen = dialog.value;
  return html`<section class="block"><div class="block-top"><h3>Prompt versions</h3>
      ${operates && html`<button type="button" class="button small" onClick=${() => { dialog.value = { what: "draft" }; }}><${Icon} name="plus" size=${16} />New draft</button>`}</div>
    ${failure.value && html`<p class="failure" role="alert">${failure.value}</p>`}
    ${list.value?.length > 0 && html`<div class="scroller" tabindex="0" role="region" aria-label="Prompt versions"><table><thead><tr><th>Function</th><th>Version</th><th>State</th><th class="number">Share</th><th>Origin</th><th><span class="hidden">What to do</span></th></tr></thead>
      <tbody>${list.value.map((one) => html`<${Line} key=${one.versionId} one=${one} moves=${operates ? movesOf(one, list.value) : []} open=${(what) => { dialog.value = { what, one }; }} move=${move} />`)}</tbody></table></div>`}
    ${list.value?.length === 0 && html`<p class="muted">None yet.</p>`}
    ${chosen?.what === "text" && html`<${TextDialog} one=${chosen.one} onClose=${close} />`}
    ${chosen?.what === "draft" && html`<${DraftDialog} functions=${[...new Set(list.value.map((one) => one.function))]} onDone=${load} onClose=${close} />`}
    ${chosen?.what === "canary" && html`<${CanaryDialog} one=${chosen.one} onGive=${(share) => move(chosen.one, "canary", { share })} onClose=${close} />`}
    ${chosen?.what === "promote" && html`<${PromoteDialog} one=${chosen.one} onGive=${(reportId) => move(chosen.one, "promote", { reportId })} onClose=${close} />`}
    ${chosen?.what === "rollback" && html`<${Confirm} title=${`Take ${nameOf(chosen.one)} out of use?`} text=${chosen.one.state === "live" ? "The version before it answers again, for everybody." : "It answers nobody from now on."} action="Take out of use" onYes=${() => move(chosen.one, "rollback")} onClose=${close} />`}
  </section>`;
}

/** Functions of which there are several versions stand first: there is something to decide. */
function contestedFirst(prompts) {
  const several = (one) => Number(prompts.some((other) => other !== one && other.function === one.function));
  return [...prompts].sort((one, other) => several(other) - several(one));
}

/** Nothing can take the place of a live version that is the only one of its function. */
const movesOf = (one, all) => MOVES[one.state].filter((to) => to !== "rollback" || one.state !== "live" || all.some((other) => other.function === one.function && other !== one));

/** What one may do stands in the row: a menu would be cut off where the table scrolls. */
function Line({ one, moves, open, move }) {
  return html`<tr><td>${one.function}</td><td><code>${hashOf(one.versionId)}</code></td><td><span class=${`fact state-${one.state}`}>${one.state}</span></td>
    <td class="number">${one.share ? `${Math.round(one.share * 100)} %` : ""}</td><td>${one.origin}</td>
    <td class="row-moves">${moves.map((to) => html`<button type="button" class="button small" aria-label=${`${WORDS[to]}: ${nameOf(one)}`} onClick=${() => (to === "shadow" ? move(one, to) : open(to))}>${to === "canary" && one.state === "canary" ? "Change share" : WORDS[to]}</button>`)}
      <button type="button" class="button small" aria-label=${`Text: ${nameOf(one)}`} onClick=${() => open("text")}>Text</button></td></tr>`;
}

function TextDialog({ one, onClose }) {
  const text = useSignal("");
  useEffect(() => { rest("GET", pathOf(one)).then((answer) => { text.value = answer.text; }, (error) => { notice(error.message, "bad"); onClose(); }); }, []);
  return html`<${Dialog} title=${nameOf(one)} wide onClose=${onClose}><pre class="code" tabindex="0">${text.value}</pre>
    ${Object.keys(one.parameters).length > 0 && html`<p class="small muted">With ${Object.entries(one.parameters).map(([name, value]) => `${name} = ${JSON.stringify(value)}`).join(", ")}</p>`}</${Dialog}>`;
}

function DraftDialog({ functions, onDone, onClose }) {
  const submit = async (event) => {
    event.preventDefault();
    const { text, ...more } = Object.fromEntries(new FormData(event.target));
    const made = rest("POST", "/admin/prompts", { text, function: more.function });
    if (!(await tried(made))) return;
    notice(`${nameOf(await made)} is a draft.`);
    await onDone();
    onClose();
  };
  return html`<${Dialog} title="New draft" wide onClose=${onClose}><form onSubmit=${submit}>
    <label class="field">Function<select name="function">${functions.map((name) => html`<option>${name}</option>`)}</select></label>
    <label class="field">BAML that defines it<textarea class="mono" name="text" rows="12" required maxlength="64000" spellcheck="false"></textarea></label>
    <footer class="dialog-actions"><button type="button" class="button" onClick=${onClose}>Cancel</button><button class="button primary">Store the draft</button></footer></form></${Dialog}>`;
}

function CanaryDialog({ one, onGive, onClose }) {
  const submit = async (event) => {
    event.preventDefault();
    if (await onGive(Number(new FormData(event.target).get("share")) / 100)) onClose();
  };
  return html`<${Dialog} title=${`Try ${nameOf(one)} on some people`} onClose=${onClose}><form onSubmit=${submit}>
    <label class="field">Percent of the people, 50 at most; the same people as long as it runs<input name="share" type="number" min="1" max="50" required autofocus value=${Math.round((one.share ?? 0.1) * 100)} /></label>
    <footer class="dialog-actions"><button type="button" class="button" onClick=${onClose}>Cancel</button><button class="button primary">Start</button></footer></form></${Dialog}>`;
}

/** A version goes up on a report that passed, on exactly this version; the report is shown before anybody decides. */
function PromoteDialog({ one, onGive, onClose }) {
  const report = useSignal(null);
  const failure = useSignal("");
  const look = async (event) => {
    event.preventDefault();
    const id = new FormData(event.target).get("reportId").trim();
    failure.value = "";
    try {
      report.value = await rest("GET", `/admin/reports/${encodeURIComponent(id)}`);
    } catch (error) {
      report.value = null;
      failure.value = error.message;
    }
  };
  const found = report.value;
  const fits = found?.status === "passed" && found.prompt === one.versionId;
  const promote = async () => { if (await onGive(found.reportId)) onClose(); };
  return html`<${Dialog} title=${`Promote ${nameOf(one)}`} onClose=${onClose}>
    <form onSubmit=${look}><label class="field">Id of the evaluation report that it passed<input name="reportId" required maxlength="128" autofocus spellcheck="false" autocomplete="off" /></label>
      ${failure.value && html`<p class="failure" role="alert">${failure.value}</p>`}
      ${!found && html`<footer class="dialog-actions"><button type="button" class="button" onClick=${onClose}>Cancel</button><button class="button primary">Look at the report</button></footer>`}</form>
    ${found && html`<section><p><span class=${`fact ${fits ? "state-live" : "flag"}`}>${found.status}</span> <span class="muted small">${found.job}, ${exactly(found.finishedAt)}</span></p>
        ${found.prompt !== one.versionId && html`<p class="failure" role="alert">It is about another version, ${hashOf(found.prompt)}.</p>`}
        <ul class="plain-list">${found.gates.map((gate) => html`<li><span><b>${gate.metric}</b><small class="muted">${gate.sentence || `${gate.bound} ${gate.op} ${gate.value}`}</small></span><span class="fact">${gate.state}</span></li>`)}</ul></section>
      <footer class="dialog-actions"><button type="button" class="button" onClick=${onClose}>Cancel</button><button type="button" class="button primary" disabled=${!fits} onClick=${promote}>Promote to everybody</button></footer>`}</${Dialog}>`;
}
