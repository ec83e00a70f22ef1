/** Notices while the page is closed; shown only where the server and the browser can do it. */
export function PushSetting() {
  return null;
}
