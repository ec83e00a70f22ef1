/** One's own settings: what others see, what the machine may do, how the page looks, which devices are signed in. */
import { rest } from "../api.js";
import { html, useEffect, useSignal } from "../lib.js";
import { notice, tried } from "../store/notices.js";
import { me } from "../store/people.js";
import { facts, signOut } from "../store/session.js";
import { completing, setCompleting } from "../store/suggestions.js";
import { setTheme, theme } from "../theme.js";
import { shortMoment } from "../text.js";
import { Dialog, Icon } from "./parts.js";
import { Notices } from "./push.js";
import { Switch } from "./switch.js";

export function SettingsDialog({ onClose }) {
  const { settings } = me.value;
  const set = async (fields) => {
    const asked = rest("PATCH", "/me", { settings: fields });
    if (await tried(asked)) me.value = { ...me.value, ...(await asked) };
  };
  return html`<${Dialog} title="Settings" onClose=${onClose}>
    <section><h3>You</h3><p><b>${me.value.name}</b>${me.value.username && html` <span class="muted">@${me.value.username}</span>`}</p>
      <${Switch} on=${settings.receipts} label="Others see what I have read" onChange=${(receipts) => set({ receipts })} />
      <${Switch} on=${settings.consent} label="My messages may be exported for research" onChange=${(consent) => set({ consent })} />
    </section>
    <section><h3>Suggestions</h3>
      <${Switch} on=${settings.ai} label="AI features work for me" onChange=${(ai) => set({ ai })} />
      <${Switch} on=${completing.value} label="Suggest how my sentence could go on" onChange=${setCompleting} />
    </section>
    <${Notices} />
    <section><h3>Look</h3><div class="tabs" role="group" aria-label="Colours">
      ${[["auto", "As the system"], ["light", "Light"], ["dark", "Dark"]].map(([id, label]) => html`<button type="button" aria-pressed=${theme.value === id} onClick=${() => setTheme(id)}>${label}</button>`)}</div></section>
    <${Devices} />
    <footer class="dialog-actions spread"><span class="small muted">chatcore ${facts.version} · <a href="/docs">Reference</a></span>
      <button type="button" class="button" onClick=${() => { onClose(); signOut(); }}><${Icon} name="out" size=${17} />Sign out</button></footer>
  </${Dialog}>`;
}

function Devices() {
  const list = useSignal(null);
  const load = () => rest("GET", "/me/sessions").then((answer) => { list.value = answer.sessions; }, (error) => notice(error.message, "bad"));
  useEffect(() => { void load(); }, []);
  const end = async (one) => { if (await tried(rest("DELETE", `/me/sessions/${encodeURIComponent(one.sessionId)}`))) await load(); };
  return html`<section><h3>Devices</h3><ul class="plain-list">${list.value?.map((one) => html`<li>
    <span><b>${browserOf(one.userAgent)}</b><small class="muted">${one.current ? "This device" : `${one.status}, ${shortMoment(one.lastActivity)}`}</small></span>
    ${!one.current && html`<button type="button" class="button small" onClick=${() => end(one)}>Sign out</button>`}</li>`)}</ul></section>`;
}

function browserOf(agent = "") {
  const name = agent.match(/(Edg|Firefox|Chrome|Safari)\//)?.[1] ?? (agent ? agent.split("/")[0] : "Unknown");
  const system = agent.match(/(Windows|Android|iPhone|iPad|Mac OS X|Linux)/)?.[1] ?? "";
  return [name === "Edg" ? "Edge" : name, system].filter(Boolean).join(" on ");
}
