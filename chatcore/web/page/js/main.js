/** The page starts here. */
import { html, render } from "./lib.js";
import { follow } from "./route.js";
import { resume } from "./store/session.js";
import { paint } from "./theme.js";
import { App } from "./views/app.js";

paint();
follow();
resume();
render(html`<${App} />`, document.getElementById("app"));
