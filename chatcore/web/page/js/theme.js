/** Light, dark, or as the system says. */
import { signal } from "./lib.js";

const KEY = "chatcore-theme";

export const theme = signal(localStorage.getItem(KEY) ?? "auto");

export function setTheme(name) {
  theme.value = name;
  if (name === "auto") localStorage.removeItem(KEY);
  else localStorage.setItem(KEY, name);
  paint();
}

export function paint() {
  if (theme.peek() === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme.peek();
}
