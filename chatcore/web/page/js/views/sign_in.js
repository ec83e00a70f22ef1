/** The way in: a name in development, a local account, or a token of the server's identity provider. */
import { html, useSignal } from "../lib.js";
import { facts, refusal, signIn, stage } from "../store/session.js";
import { Icon } from "./parts.js";

const WAYS = [
  { how: "dev", label: "Name", offered: facts.devTokens },
  { how: "password", label: "Account", offered: facts.localAccounts },
  { how: "token", label: "Token", offered: true },
].filter((way) => way.offered);

export function SignIn() {
  const how = useSignal(WAYS[0].how);
  const failure = useSignal("");
  const busy = useSignal(false);
  const submit = async (event) => {
    event.preventDefault();
    const given = Object.fromEntries(new FormData(event.target));
    busy.value = true;
    failure.value = "";
    try {
      await signIn({ how: how.value, ...given }, given.stay === "on");
    } catch (error) {
      failure.value = error.field === "name" ? "A name is 1 to 64 letters and digits of ASCII, with . _ - between." : error.message;
    } finally {
      busy.value = false;
    }
  };
  const said = failure.value || (refusal.value && (refusal.value.code === "token_expired" ? "Your session has ended. Sign in again." : refusal.value.message));
  return html`
    <main class="sign-in">
      <form class="card" onSubmit=${submit} aria-labelledby="sign-in-title">
        <img class="logo" src="/icon.svg" alt="" width="52" height="52" />
        <h1 id="sign-in-title">Sign in to chatcore</h1>
        ${WAYS.length > 1 && html`<div class="tabs" role="tablist" aria-label="How to sign in">
          ${WAYS.map((way) => html`<button type="button" role="tab" aria-selected=${how.value === way.how} aria-controls="sign-in-fields" onClick=${() => { how.value = way.how; failure.value = ""; }}>${way.label}</button>`)}
        </div>`}
        <div id="sign-in-fields" class="fields" key=${how.value}><${Fields} how=${how.value} /></div>
        ${said && html`<p class="failure" role="alert"><${Icon} name="warn" size=${17} />${said}</p>`}
        <label class="check"><input type="checkbox" name="stay" /> Stay signed in on this device</label>
        <button class="button primary block" disabled=${busy.value || stage.value === "entering"}>${busy.value ? "Signing in" : "Sign in"}</button>
        <p class="small muted">Messages are encrypted on the way and at rest. The server holds the keys and can read them.</p>
      </form>
    </main>`;
}

function Fields({ how }) {
  if (how === "dev") {
    return html`<label class="field">Your name
      <input name="name" required autofocus autocomplete="username" maxlength="64" placeholder="ana" /></label>
      <p class="small muted">This server is in development on this machine: a name is enough. Use two windows to be two people.</p>`;
  }
  if (how === "password") {
    return html`<label class="field">Name<input name="name" required autofocus autocomplete="username" maxlength="100" /></label>
      <label class="field">Password<input name="password" type="password" required autocomplete="current-password" /></label>`;
  }
  return html`<label class="field">Token
      <textarea name="token" required autofocus rows="3" spellcheck="false" autocomplete="off" placeholder="eyJ..."></textarea></label>
    <p class="small muted">${issuerWords()}</p>`;
}

/** Clerk's key holds the address of its instance; its own script is loaded from elsewhere, which this page never does. */
function issuerWords() {
  const instance = clerkInstance(facts.clerkPublishableKey);
  if (instance) return `Paste a session token of the Clerk instance ${instance}.`;
  return facts.issuer ? `Paste a token issued by ${facts.issuer}.` : "Paste a token, such as python -m chatcore token NAME prints.";
}

function clerkInstance(key) {
  try {
    return atob((key ?? "").split("_").slice(2).join("_")).replace(/\$$/, "");
  } catch {
    return "";
  }
}
