/** REST of this server. Refusals are thrown as `Refusal`, silence as `Disconnected`. */
import { Disconnected, Refusal } from "./refusal.js";

/** The token of whoever is signed in; every request and the handshake read it here. */
export const credentials = { token: "" };

function headers(more = {}) {
  return credentials.token ? { Authorization: `Bearer ${credentials.token}`, ...more } : more;
}

/**
 * @param {"GET" | "POST" | "PATCH" | "DELETE"} method
 * @param {string} path below /api, with a slash in front
 * @param {object} [body]
 */
export async function rest(method, path, body) {
  const answer = await answered(`/api${path}`, {
    method,
    headers: headers(body === undefined ? {} : { "Content-Type": "application/json" }),
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  return answer.status === 204 ? {} : answer.json();
}

/** A file of this server that only its members may read, as a blob. */
export async function restBlob(url) {
  return (await answered(url, { headers: headers() })).blob();
}

async function answered(url, options) {
  let answer;
  try {
    answer = await fetch(url, { ...options, cache: "no-store", referrerPolicy: "no-referrer" });
  } catch {
    throw new Disconnected();
  }
  if (!answer.ok) throw await refusalIn(answer);
  return answer;
}

async function refusalIn(answer) {
  try {
    return new Refusal(await answer.json());
  } catch {
    return new Refusal({ code: "internal", detail: `The server answered ${answer.status}` });
  }
}

/**
 * Upload one file with progress, which `fetch` cannot tell.
 * @param {File} file
 * @param {string} groupId
 * @param {(share: number) => void} onProgress 0 to 1
 * @param {AbortSignal} abort
 */
export function upload(file, groupId, onProgress, abort) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    const form = new FormData();
    form.append("groupId", groupId);
    form.append("file", file, file.name);
    request.open("POST", "/api/media/upload");
    request.responseType = "json";
    for (const [name, value] of Object.entries(headers())) request.setRequestHeader(name, value);
    request.upload.onprogress = (event) => event.lengthComputable && onProgress(event.loaded / event.total);
    request.onerror = () => reject(new Disconnected());
    request.onabort = () => reject(new Refusal({ code: "aborted", detail: "The upload was stopped" }));
    request.onload = () =>
      request.status < 300 ? resolve(request.response) : reject(new Refusal(request.response ?? { detail: `The server answered ${request.status}` }));
    abort.addEventListener("abort", () => request.abort());
    request.send(form);
  });
}

export const query = (fields) => {
  const kept = Object.entries(fields).filter(([, value]) => value !== undefined && value !== "");
  return kept.length ? `?${new URLSearchParams(kept)}` : "";
};
