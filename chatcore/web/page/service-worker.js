/** Shows notices while the page is closed. It reads nothing, keeps nothing, and fetches nothing. */
const GENERAL = "chatcore";

self.addEventListener("install", () => self.skipWaiting());
self.addEventListener("activate", (event) => event.waitUntil(self.clients.claim()));
self.addEventListener("push", (event) => event.waitUntil(show(read(event.data))));
self.addEventListener("notificationclick", (event) => {
  event.notification.close();
  event.waitUntil(open(event.notification.data?.groupId));
});

function read(data) {
  try {
    return data?.json() ?? {};
  } catch {
    return {};
  }
}

/** Windows with the chat in them; the reference and other files of this server are none. */
async function pages() {
  const windows = await self.clients.matchAll({ type: "window", includeUncontrolled: true });
  return windows.filter((one) => new URL(one.url).pathname === "/");
}

async function show(news) {
  if ((await pages()).some((one) => one.visibilityState === "visible" && one.focused)) return;
  const { title, body } = words(news);
  await self.registration.showNotification(title, {
    body, tag: news.groupId ?? GENERAL, renotify: true, icon: "/icon.svg", badge: "/icon.svg", data: { groupId: news.groupId },
  });
}

/** A server that is told to name nothing sends nothing but the push itself. */
function words({ groupId, group, sender, direct, mentioned, count = 1 }) {
  if (!groupId) return { title: "New messages", body: "Open the page to read them." };
  const many = count > 1;
  if (direct) return { title: sender, body: many ? `${count} new messages` : "Sent you a message" };
  if (mentioned) return { title: group, body: many ? `${sender} mentioned you, ${count} new messages` : `${sender} mentioned you` };
  return { title: group, body: many ? `${count} new messages, the last from ${sender}` : `New message from ${sender}` };
}

async function open(groupId) {
  const windows = await pages();
  const there = windows.find((one) => one.focused) ?? windows[0];
  if (!there) return self.clients.openWindow(groupId ? `/#/g/${groupId}` : "/");
  const shown = await there.focus();
  if (groupId) (shown ?? there).postMessage({ open: groupId });
}
