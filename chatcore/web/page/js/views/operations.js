/** How the server is doing: live numbers with plots, prompt versions, and the newest decisions of models. */
import { query, rest } from "../api.js";
import { html, useEffect, useSignal } from "../lib.js";
import { me } from "../store/people.js";
import { go } from "../route.js";
import { exactly, shortMoment } from "../text.js";
import { reading } from "../numbers.js";
import { AuditList } from "./audit.js";
import { Plot } from "./plot.js";
import { Prompts } from "./prompts.js";
import { IconButton, Spinner } from "./parts.js";

const EVERY_MS = 2_000;
const KEPT = 150;

const PLOTS = [
  { title: "Messages a second", of: (now) => now.sends, digits: 1 },
  { title: "Connections", of: (now) => now.connections, digits: 0 },
  { title: "Commands a second", of: (now) => now.commands, digits: 1 },
  { title: "Commit, p95", of: (now) => now.commitP95, unit: "ms", digits: 1 },
  { title: "Loop lag, mean", of: (now) => now.lag, unit: "ms", digits: 2 },
  { title: "Memory", of: (now) => now.rss, unit: "MiB", digits: 0 },
  { title: "Model calls a minute", of: (now) => now.aiCalls, digits: 0 },
  { title: "Refusals a minute", of: (now) => now.refused, digits: 0 },
];

export function Operations() {
  const points = useSignal([]);
  const failure = useSignal("");
  useEffect(() => {
    let before = null;
    let timer = 0;
    const look = async () => {
      try {
        const now = await rest("GET", "/admin/metrics");
        if (before && before.process === now.process) points.value = [...points.peek().slice(1 - KEPT), reading(before, now)];
        before = now;
        failure.value = "";
      } catch (error) {
        failure.value = error.code === "not_found" ? "This server tells no numbers here." : error.message;
      }
      timer = setTimeout(look, EVERY_MS);
    };
    void look();
    return () => clearTimeout(timer);
  }, []);
  const latest = points.value.at(-1);
  return html`
    <main class="page" aria-label="Operations">
      <header class="page-top"><${IconButton} class="only-narrow" icon="back" label="Back to the conversations" onClick=${() => go("/")} /><h2>Operations</h2>
        ${latest && html`<span class="muted small only-wide">Process ${latest.process}, version ${latest.version}</span>`}</header>
      <div class="page-body wide">
        ${failure.value && html`<p class="failure" role="alert">${failure.value}</p>`}
        ${!latest && !failure.value && html`<div class="centred"><${Spinner} label="Measuring" /></div>`}
        ${latest && html`<div class="plots">${PLOTS.map((plot) => html`<${Plot} key=${plot.title} ...${plot} points=${points.value} />`)}</div>`}
        <${Prompts} />
        ${me.value?.roles.includes("analyst") && html`<${Decisions} />`}
        ${me.value?.roles.includes("operator") && html`<${AuditList} />`}
      </div>
    </main>`;
}

function useList(path, name) {
  const list = useSignal(null);
  const failure = useSignal("");
  useEffect(() => {
    rest("GET", path).then((answer) => { list.value = answer[name]; }, (error) => { failure.value = error.code === "not_found" ? "This server has none." : error.message; });
  }, []);
  return [list.value, failure.value];
}

function Decisions() {
  const [list, failure] = useList(`/admin/decisions${query({ limit: 40 })}`, "decisions");
  return html`<section class="block"><h3>Newest decisions of models</h3>${failure && html`<p class="muted">${failure}</p>`}
    ${list?.length > 0 && html`<div class="scroller" tabindex="0" role="region" aria-label="Decisions"><table><thead><tr><th>When</th><th>What</th><th>Outcome</th><th>Served by</th><th class="number">ms</th><th class="number">Tokens</th><th>Prompt</th></tr></thead>
      <tbody>${list.map((one) => html`<tr><td><time title=${exactly(one.at)}>${shortMoment(one.at)}</time></td><td>${one.feature}${one.mode !== "live" ? html` <span class="fact">${one.mode}</span>` : ""}</td><td>${one.action ?? ""}</td>
        <td>${one.served.model}${one.served.degraded ? html` <span class="fact">degraded</span>` : ""}</td><td class="number">${Math.round(one.served.latencyMs)}</td><td class="number">${one.served.promptTokens + one.served.completionTokens}</td><td><code>${(one.prompt ?? "").split("@").at(-1).slice(0, 8)}</code></td></tr>`)}</tbody></table></div>`}
    ${list?.length === 0 && html`<p class="muted">None yet: ask for a suggestion, and it appears here.</p>`}</section>`;
}
