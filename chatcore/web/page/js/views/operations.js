import { html } from "../lib.js";

export function Operations() {
  return html`<main class="page"></main>`;
}
