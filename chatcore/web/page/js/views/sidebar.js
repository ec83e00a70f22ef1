/** The list of conversations, and oneself. */
import { html, useSignal } from "../lib.js";
import { openId, partnerOf, sortedGroups, titleOf } from "../store/groups.js";
import { me, nameOf } from "../store/people.js";
import { stage } from "../store/session.js";
import { go, page } from "../route.js";
import { shortMoment } from "../text.js";
import { NewDialog } from "./new_conversation.js";
import { Avatar, Empty, Icon, IconButton, PersonAvatar, Spinner } from "./parts.js";
import { SettingsDialog } from "./settings.js";

export function Sidebar() {
  const filter = useSignal("");
  const dialog = useSignal("");
  const wanted = filter.value.trim().toLowerCase();
  const list = sortedGroups.value.filter((group) => !wanted || titleOf(group).toLowerCase().includes(wanted));
  const roles = me.value?.roles ?? [];
  const close = () => { dialog.value = ""; };
  return html`
    <nav class="sidebar" aria-label="Conversations">
      <header class="sidebar-top">
        <h1>Chats</h1>
        <${IconButton} icon="plus" label="New conversation" onClick=${() => { dialog.value = "new"; }} />
      </header>
      <div class="search-box"><${Icon} name="search" size=${17} /><input type="search" placeholder="Find a conversation" aria-label="Find a conversation" value=${filter.value} onInput=${(event) => { filter.value = event.target.value; }} /></div>
      <ul class="group-list">
        ${stage.value === "entering" && html`<li class="centred"><${Spinner} label="Loading conversations" /></li>`}
        ${list.map((group) => html`<${GroupItem} key=${group.id} group=${group} />`)}
        ${stage.value === "in" && list.length === 0 && html`<li><${Empty} title=${wanted ? "No conversation has this name" : "No conversations yet"}>
          ${!wanted && html`<button type="button" class="button primary" onClick=${() => { dialog.value = "new"; }}>Start one</button>`}</${Empty}></li>`}
      </ul>
      ${(roles.includes("reviewer") || roles.includes("operator") || roles.includes("analyst")) && html`<div class="sidebar-pages">
        ${roles.includes("reviewer") && html`<a class=${page.value === "reviews" ? "current" : ""} href="#/reviews"><${Icon} name="shield" size=${18} />Reviews</a>`}
        ${(roles.includes("operator") || roles.includes("analyst")) && html`<a class=${page.value === "operations" ? "current" : ""} href="#/operations"><${Icon} name="chart" size=${18} />Operations</a>`}
      </div>`}
      <footer class="sidebar-me">
        <${PersonAvatar} userId=${me.value?.userId ?? ""} size=${34} dot />
        <span class="me-name">${me.value?.name}</span>
        <${IconButton} icon="gear" label="Settings" onClick=${() => { dialog.value = "settings"; }} />
      </footer>
      ${dialog.value === "new" && html`<${NewDialog} onClose=${close} />`}
      ${dialog.value === "settings" && html`<${SettingsDialog} onClose=${close} />`}
    </nav>`;
}

function GroupItem({ group }) {
  const { lastMessage: last } = group.info.value;
  const unread = group.unread.value;
  const partner = group.isDirect ? partnerOf(group) : null;
  const title = titleOf(group);
  const typing = [...group.typing.value.keys()];
  return html`<li>
    <a class=${`group-item ${openId.value === group.id ? "current" : ""} ${unread ? "unread" : ""}`} href=${`#/g/${group.id}`} aria-current=${openId.value === group.id ? "page" : undefined}
      onClick=${(event) => { event.preventDefault(); go(`/g/${group.id}`); }}>
      ${group.isDirect ? html`<${Avatar} id=${partner?.userId ?? group.id} name=${title} size=${42} dot />` : html`<${Avatar} id=${group.id} name=${title} size=${42} square />`}
      <span class="group-words">
        <span class="group-line"><b>${title}</b>${last && html`<time>${shortMoment(last.createdAt)}</time>`}</span>
        <span class="group-line"><span class="preview">${typing.length ? html`<i>${typing.length === 1 ? `${nameOf(typing[0])} is typing` : "typing"}</i>` : previewOf(group, last)}</span>
          ${unread > 0 && html`<span class="badge" aria-label=${`${unread} unread`}>${unread > 99 ? "99+" : unread}</span>`}</span>
      </span>
    </a></li>`;
}

function previewOf(group, last) {
  if (!last) return group.info.value.description || "No messages yet";
  if (last.isDeleted) return "A message was deleted";
  const text = last.content || (last.type === "image" ? "Picture" : last.type === "file" ? "File" : "");
  if (last.type === "system") return text;
  const who = last.senderId === me.value?.userId ? "You" : group.isDirect ? "" : last.sender?.name?.split(" ")[0];
  return who ? `${who}: ${text}` : text;
}
