"use strict";
// Swagger UI switches to dark by a class on the root; follow the system as the other pages do.
const dark = window.matchMedia("(prefers-color-scheme: dark)");
const follow = () => document.documentElement.classList.toggle("dark-mode", dark.matches);
follow();
dark.addEventListener("change", follow);

SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#viewer",
  deepLinking: true,
  filter: true,
  docExpansion: "list",
  defaultModelsExpandDepth: 0,
  displayRequestDuration: true,
  persistAuthorization: false,
  // A null URL keeps the specification from being sent to an online validator.
  validatorUrl: null,
  presets: [SwaggerUIBundle.presets.apis],
});
