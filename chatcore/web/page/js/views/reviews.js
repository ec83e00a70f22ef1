import { html } from "../lib.js";

export function Reviews() {
  return html`<main class="page"></main>`;
}
