/** The whole page: signed out, or the conversations with their neighbours. */
import { html, useEffect } from "../lib.js";
import { acceptInvite, openGroup, titleOf, unreadInAll } from "../store/groups.js";
import { dismiss, notice, notices } from "../store/notices.js";
import { waiting } from "../store/outbox.js";
import { me } from "../store/people.js";
import { stage } from "../store/session.js";
import { hurry, link } from "../socket.js";
import { go, page } from "../route.js";
import { plural } from "../text.js";
import { Conversation, panel } from "./conversation.js";
import { Operations } from "./operations.js";
import { Icon, IconButton } from "./parts.js";
import { Reviews } from "./reviews.js";
import { Sidebar } from "./sidebar.js";
import { SignIn } from "./sign_in.js";

export function App() {
  useEffect(() => {
    const group = openGroup.value;
    const title = page.value === "chat" && group ? titleOf(group) : "chatcore";
    document.title = unreadInAll.value && stage.value === "in" ? `(${unreadInAll.value}) ${title}` : title;
  });
  if (stage.value === "out") return html`<${SignIn} /><${Notices} />`;
  if (stage.value === "lapsed") return html`<${SignIn} /><${Notices} />`;
  const narrow = page.value !== "chat" || openGroup.value ? "one" : "list";
  return html`
    <div class=${`shell narrow-${narrow} ${panel.value && openGroup.value && page.value === "chat" ? "with-panel" : ""}`}>
      <a class="skip" href="#composer-text" onClick=${(event) => { event.preventDefault(); document.querySelector("#composer-text")?.focus(); }}>Skip to writing</a>
      <${LinkBanner} />
      <${InviteTaker} />
      <${Sidebar} />
      ${page.value === "reviews" ? html`<${Reviews} />` : page.value === "operations" ? html`<${Operations} />` : html`<${Conversation} />`}
    </div>
    <${Notices} />`;
}

/** What the connection is doing, wherever one is on the page. */
function LinkBanner() {
  const unsent = waiting.value.filter((entry) => entry.state === "queued").length;
  const state = link.value;
  const text = state === "online" || state === "closed" ? "" : state === "connecting" ? "Connecting" : "Connection lost. Trying again";
  return html`<div class=${`link-banner ${text ? "there" : ""}`} role="status" data-link=${state}>
    ${text && html`<${Icon} name="wait" size=${17} /><span>${text}${unsent ? `, ${plural(unsent, "message")} waiting` : ""}</span>
      ${state === "reconnecting" && html`<button type="button" class="link" onClick=${hurry}>Try now</button>`}`}</div>`;
}

/** Somebody opened an invitation link: join once the connection stands. */
function InviteTaker() {
  const ready = stage.value === "in" && me.value !== null;
  useEffect(() => {
    const code = location.pathname.match(/^\/invite\/([\w-]+)$/)?.[1];
    if (!ready || !code) return;
    history.replaceState(null, "", `/${location.hash}`);
    acceptInvite(code).then((group) => go(`/g/${group.id}`), (error) => notice(error.message, "bad"));
  }, [ready]);
  return null;
}

function Notices() {
  return html`<div class="notices" role="status" aria-live="polite">${notices.value.map((one) => html`
    <div key=${one.id} class=${`notice ${one.kind}`}><span>${one.text}</span><${IconButton} small icon="close" label="Dismiss" onClick=${() => dismiss(one.id)} /></div>`)}</div>`;
}

