/** Say why moderation was wrong; a person looks at it. */
import { rest } from "../api.js";
import { html, useSignal } from "../lib.js";
import { notice, tried } from "../store/notices.js";
import { Dialog } from "./parts.js";

export function AppealDialog({ decisionId, text, onClose }) {
  const reason = useSignal("");
  const submit = async (event) => {
    event.preventDefault();
    if (await tried(rest("POST", "/appeals", { decisionId, reason: reason.value }))) {
      onClose();
      notice("Your appeal is with a reviewer.");
    }
  };
  return html`<${Dialog} title="Appeal" onClose=${onClose}>
    <form onSubmit=${submit}>
      <blockquote class="cited">${text}</blockquote>
      <label class="field">Why should this be allowed?
        <textarea rows="3" maxlength="500" required autofocus value=${reason.value} onInput=${(event) => { reason.value = event.target.value; }}></textarea>
      </label>
      <footer class="dialog-actions"><button type="button" class="button" onClick=${onClose}>Cancel</button><button class="button primary">Send the appeal</button></footer>
    </form>
  </${Dialog}>`;
}
