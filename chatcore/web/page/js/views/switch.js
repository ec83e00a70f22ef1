/** One thing that is on or off. */
import { html } from "../lib.js";

export const Switch = ({ on, label, onChange, disabled = false }) => html`<label class="switch"><span>${label}</span>
  <input type="checkbox" role="switch" checked=${on} disabled=${disabled} onChange=${(event) => onChange(event.target.checked)} /></label>`;
