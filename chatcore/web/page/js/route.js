/** Where one is: the part of the address after #, so that back, forward and links work. */
import { batch, signal } from "./lib.js";
import { openId } from "./store/groups.js";

/** @type {import("./lib.js").Signal<"chat" | "reviews" | "operations">} */
export const page = signal("chat");

export function go(path) {
  if (location.hash !== `#${path}`) location.hash = path;
}

export function follow() {
  const [, first = "", second = ""] = location.hash.slice(1).split("/");
  batch(() => {
    page.value = first === "reviews" || first === "operations" ? first : "chat";
    openId.value = first === "g" ? second : "";
  });
}

addEventListener("hashchange", follow);
