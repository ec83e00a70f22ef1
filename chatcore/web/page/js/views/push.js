/** The part of the settings about notices while the page is closed. */
import { html, useSignal } from "../lib.js";
import { tried } from "../store/notices.js";
import { me } from "../store/people.js";
import { endPush, pushScope, pushState, startPush } from "../store/push.js";
import { Switch } from "./switch.js";

const WHY_NOT = {
  unsupported: "This browser has no notices for pages, or the connection to this server is not secure.",
  refused: "You have forbidden notices from this page. Allow them in the browser's settings for this site.",
  absent: "This server sends no notices.",
};
const SCOPES = [["all", "Every message"], ["mentions", "Mentions and direct"]];

export function Notices() {
  const busy = useSignal(false);
  const act = async (work) => {
    busy.value = true;
    await tried(work);
    busy.value = false;
  };
  const on = pushState.value === "on";
  const why = WHY_NOT[pushState.value];
  return html`<section><h3>Notices</h3>
    <${Switch} on=${on} disabled=${busy.value || Boolean(why)} label="Tell me of messages while the page is closed" onChange=${(wanted) => act(wanted ? startPush(me.value.userId) : endPush())} />
    ${why && html`<p class="small muted">${why}</p>`}
    ${on && html`<div class="tabs" role="group" aria-label="Of which messages">
      ${SCOPES.map(([id, label]) => html`<button type="button" aria-pressed=${pushScope.value === id} disabled=${busy.value} onClick=${() => act(startPush(me.value.userId, id))}>${label}</button>`)}</div>
      <p class="small muted">Notices name the sender and the group at most, never what was written, and reach this browser alone.</p>`}
  </section>`;
}
