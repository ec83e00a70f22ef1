/** One connection of socket.io-client, its state for people to see, and calls that answer or refuse. */
import { io } from "../lib/socket.io.js";
import { credentials } from "./api.js";
import { signal } from "./lib.js";
import { Disconnected, Refusal } from "./refusal.js";

const ANSWER_MS = 10_000;
const AGAIN_MS = 1_500;
const TOKEN_CODES = new Set(["token_missing", "token_expired", "token_invalid", "user_inactive"]);

/** @type {import("./lib.js").Signal<"closed" | "connecting" | "online" | "reconnecting">} */
export const link = signal("closed");

let socket = null;
let again = 0;

/**
 * Connect, and stay connected until `close`.
 * @param {Record<string, (data: any) => void>} hears what to do with each pushed event
 * @param {(refusal: Refusal) => void} onSignedOut the token is no good any more
 */
export function open(hears, onSignedOut) {
  close();
  link.value = "connecting";
  socket = io({
    auth: (give) => give({ token: credentials.token, deviceType: isPhone() ? "mobile" : "web" }),
    transports: ["websocket", "polling"],
    tryAllTransports: true,
    reconnectionDelay: 400,
    reconnectionDelayMax: 5_000,
    timeout: 8_000,
  });
  for (const [event, handler] of Object.entries(hears)) socket.on(event, handler);
  socket.on("authentication_success", () => { link.value = "online"; });
  socket.on("disconnect", (reason) => {
    link.value = "reconnecting";
    if (reason === "io server disconnect") tryAgain(AGAIN_MS);
  });
  socket.on("connect_error", (error) => {
    const said = error.data;
    if (said && TOKEN_CODES.has(said.code)) return onSignedOut(new Refusal(said));
    if (link.value === "online") link.value = "reconnecting";
    if (!socket.active) tryAgain(said?.retryAfterMs ?? AGAIN_MS);
  });
}

export function close() {
  clearTimeout(again);
  socket?.close();
  socket = null;
  link.value = "closed";
}

/** After a server said no for now, the client library waits for us. */
function tryAgain(milliseconds) {
  clearTimeout(again);
  again = setTimeout(() => socket?.connect(), milliseconds);
}

/** Do not wait for the next planned try: the machine is back on the network, or a person asked. */
export function hurry() {
  if (socket && !socket.connected) {
    socket.disconnect();
    socket.connect();
    link.value = "reconnecting";
  }
}

/**
 * Emit a command and wait for its acknowledgement.
 * @returns {Promise<any>} the ack's data
 */
export async function call(event, payload) {
  if (!socket?.connected) throw new Disconnected();
  let answer;
  try {
    answer = await socket.timeout(ANSWER_MS).emitWithAck(event, payload);
  } catch {
    throw new Disconnected();
  }
  if (!answer.ok) throw new Refusal(answer.error);
  return answer.data;
}

/** For what is worth nothing later, such as typing: dropped where there is no connection. */
export function mention(event, payload) {
  if (socket?.connected) socket.volatile.emit(event, payload, () => {});
}

function isPhone() {
  return matchMedia("(pointer: coarse) and (max-width: 700px)").matches;
}

addEventListener("online", hurry);
