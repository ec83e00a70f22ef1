/** Beside a conversation: what it is, its pins, its members, and what one's role allows with them. */
import { html, useEffect, useSignal } from "../lib.js";
import {
  addMember, ban, bansOf, changeRole, deleteGroup, findUsers, handOver, inviteTo, isAtLeast, kick, leaveGroup, ranksAbove, startDirect, titleOf, unban, updateGroup,
} from "../store/groups.js";
import { notice, tried } from "../store/notices.js";
import { unpin, mayPin } from "../store/messages.js";
import { me, nameOf, present } from "../store/people.js";
import { go } from "../route.js";
import { plural } from "../text.js";
import { LimitsDialog } from "./limits.js";
import { Finder, PersonRow } from "./new_conversation.js";
import { Confirm, Dialog, Icon, IconButton, Menu, PersonAvatar } from "./parts.js";
import { jump } from "./timeline.js";

const ROLES = { owner: "Owner", admin: "Admin", moderator: "Moderator", member: "" };
const ORDER = { owner: 0, admin: 1, moderator: 2, member: 3 };

export function Details({ group, onClose }) {
  const dialog = useSignal(null);
  const info = group.info.value;
  const close = () => { dialog.value = null; };
  const left = async () => { if (await tried(leaveGroup(group))) go("/"); };
  const deleted = async () => { if (await tried(deleteGroup(group))) go("/"); };
  return html`
    <aside class="panel" aria-label="Details">
      <header class="panel-top"><h2>${group.isDirect ? "Conversation" : "Group"}</h2><${IconButton} icon="close" label="Close the details" onClick=${onClose} /></header>
      <div class="panel-body">
        <section><h3 class="panel-name">${titleOf(group)}</h3>${info.description && html`<p>${info.description}</p>`}
          ${!group.isDirect && html`<div class="actions">
            ${isAtLeast(group, "moderator") && html`<button type="button" class="button" onClick=${() => { dialog.value = { what: "invite" }; }}><${Icon} name="link" size=${17} />Invite</button>`}
            ${isAtLeast(group, "admin") && html`<button type="button" class="button" onClick=${() => { dialog.value = { what: "edit" }; }}><${Icon} name="gear" size=${17} />Settings</button>`}
          </div>`}
        </section>
        <${Pins} group=${group} />
        ${!group.isDirect && html`<${Members} group=${group} dialog=${dialog} />`}
        ${!group.isDirect && html`<section class="danger">
          ${isAtLeast(group, "admin") && html`<button type="button" class="row-action" onClick=${() => { dialog.value = { what: "limits" }; }}><${Icon} name="gear" size=${18} />Moderation limits</button>`}
          ${isAtLeast(group, "moderator") && html`<button type="button" class="row-action" onClick=${() => { dialog.value = { what: "bans" }; }}><${Icon} name="shield" size=${18} />Banned people</button>`}
          <button type="button" class="row-action" onClick=${() => { dialog.value = { what: "leave" }; }}><${Icon} name="door" size=${18} />Leave the group</button>
          ${info.role === "owner" && html`<button type="button" class="row-action bad" onClick=${() => { dialog.value = { what: "delete" }; }}><${Icon} name="trash" size=${18} />Delete the group</button>`}
        </section>`}
      </div>
      ${dialog.value?.what === "invite" && html`<${InviteDialog} group=${group} onClose=${close} />`}
      ${dialog.value?.what === "edit" && html`<${EditDialog} group=${group} onClose=${close} />`}
      ${dialog.value?.what === "limits" && html`<${LimitsDialog} group=${group} onClose=${close} />`}
      ${dialog.value?.what === "add" && html`<${AddDialog} group=${group} onClose=${close} />`}
      ${dialog.value?.what === "bans" && html`<${BansDialog} group=${group} onClose=${close} />`}
      ${dialog.value?.what === "leave" && html`<${Confirm} title="Leave this group?" text="You will not receive its messages any more." action="Leave" onYes=${left} onClose=${close} />`}
      ${dialog.value?.what === "delete" && html`<${Confirm} title="Delete this group?" text="Its messages and keys are destroyed for everybody. This cannot be undone." action="Delete for everybody" onYes=${deleted} onClose=${close} />`}
      ${dialog.value?.what === "ask" && html`<${Confirm} ...${dialog.value} onClose=${close} />`}
    </aside>`;
}

function Pins({ group }) {
  const pins = group.pins.value ?? [];
  if (!pins.length) return null;
  return html`<section><h3>Pinned</h3><ul class="hits">${pins.map((pin) => html`<li class="pin-item">
    <button type="button" class="hit" onClick=${() => { jump.value = { groupId: group.id, messageId: pin._id, seq: pin.seq }; }}><b>${pin.sender.name}</b><span>${pin.isDeleted ? "A deleted message" : pin.content || "An attachment"}</span></button>
    ${mayPin(group) && html`<${IconButton} small icon="close" label="Unpin" onClick=${() => tried(unpin(group, pin))} />`}</li>`)}</ul></section>`;
}

function Members({ group, dialog }) {
  const members = [...(group.members.value?.values() ?? [])].sort((one, other) => ORDER[one.role] - ORDER[other.role] || one.user.name.localeCompare(other.user.name));
  return html`<section><div class="section-top"><h3>${plural(group.info.value.memberCount, "member")}</h3>
      ${isAtLeast(group, "admin") && html`<${IconButton} small icon="plus" label="Add somebody" onClick=${() => { dialog.value = { what: "add" }; }} />`}</div>
    <ul class="people-list">${members.map((member) => html`<${MemberRow} key=${member.userId} group=${group} member=${member} dialog=${dialog} />`)}</ul></section>`;
}

function MemberRow({ group, member, dialog }) {
  const open = useSignal(false);
  const items = menuOf(group, member, dialog);
  return html`<li class="member">
    <${PersonAvatar} userId=${member.userId} size=${34} dot />
    <span class="member-words"><span>${member.user.name}${member.userId === me.value?.userId ? " (you)" : ""}</span><small class="muted">${[ROLES[member.role], present.value.get(member.userId) ?? ""].filter(Boolean).join(", ")}</small></span>
    ${items.length > 0 && html`<${IconButton} small icon="more" label=${`What to do with ${member.user.name}`} expanded=${open.value} onClick=${() => { open.value = !open.value; }} />`}
    ${open.value && html`<${Menu} label=${member.user.name} items=${items} onClose=${() => { open.value = false; }} />`}
  </li>`;
}

function menuOf(group, member, dialog) {
  const role = group.info.value.role;
  if (member.userId === me.value?.userId) return [];
  const above = ranksAbove(role, member.role);
  const ask = (title, text, action, run) => () => setTimeout(() => { dialog.value = { what: "ask", title, text, action, onYes: () => tried(run()) }; });
  const name = member.user.name;
  const items = [{ icon: "reply", label: "Write to them", run: () => startWith(member) }];
  if (isAtLeast(group, "admin") && above) {
    for (const wanted of ["admin", "moderator", "member"]) {
      if (wanted !== member.role && ranksAbove(role, wanted)) items.push({ icon: "people", label: `Make ${wanted}`, run: () => tried(changeRole(group, member.userId, wanted)) });
    }
  }
  if (role === "owner") items.push({ icon: "shield", label: "Make owner", run: ask(`Hand the group to ${name}?`, "You stay as an admin.", "Hand over", () => handOver(group, member.userId)) });
  if (isAtLeast(group, "moderator") && above) {
    items.push({ icon: "door", label: "Remove", bad: true, run: ask(`Remove ${name}?`, "They may come back by an invitation.", "Remove", () => kick(group, member.userId)) });
    items.push({ icon: "shield", label: "Ban", bad: true, run: ask(`Ban ${name}?`, "They are removed and kept out.", "Ban", () => ban(group, member.userId, "")) });
  }
  return items;
}

async function startWith(member) {
  try {
    go(`/g/${(await startDirect(member.userId)).id}`);
  } catch (error) {
    notice(error.message, "bad");
  }
}

function InviteDialog({ group, onClose }) {
  const url = useSignal("");
  useEffect(() => { inviteTo(group).then((invite) => { url.value = invite.inviteUrl; }, (error) => { notice(error.message, "bad"); onClose(); }); }, []);
  const copy = () => navigator.clipboard.writeText(url.value).then(() => notice("Copied."), () => notice("The browser refused to copy; select the link instead.", "bad"));
  return html`<${Dialog} title="Invite people" onClose=${onClose}>
    <label class="field">Whoever has this link may join, for a week<input readonly value=${url.value} onFocus=${(event) => event.target.select()} /></label>
    <footer class="dialog-actions"><button type="button" class="button primary" disabled=${!url.value} onClick=${copy}><${Icon} name="copy" size=${17} />Copy the link</button></footer>
  </${Dialog}>`;
}

function AddDialog({ group, onClose }) {
  const add = async (user) => { if (await tried(addMember(group, user.userId))) onClose(); };
  return html`<${Dialog} title="Add somebody" onClose=${onClose}>
    <${Finder} label="Find people by name" find=${findUsers} keep=${(user) => !group.members.value?.has(user.userId)} nobody="Nobody else has this name" row=${(user) => html`<${PersonRow} user=${user} onPick=${() => add(user)} />`} />
  </${Dialog}>`;
}

function BansDialog({ group, onClose }) {
  const list = useSignal(null);
  const load = () => bansOf(group).then((bans) => { list.value = bans; }, (error) => notice(error.message, "bad"));
  useEffect(() => { void load(); }, []);
  const lift = async (entry) => { if (await tried(unban(group, entry.userId))) await load(); };
  return html`<${Dialog} title="Banned people" onClose=${onClose}>
    ${list.value?.length === 0 && html`<p class="muted">Nobody is banned from this group.</p>`}
    <ul class="plain-list">${list.value?.map((entry) => html`<li><span><b>${nameOf(entry.userId) === "Somebody" ? entry.userId : nameOf(entry.userId)}</b><small class="muted">${entry.reason}</small></span><button type="button" class="button small" onClick=${() => lift(entry)}>Lift the ban</button></li>`)}</ul>
  </${Dialog}>`;
}

function EditDialog({ group, onClose }) {
  const { name, description, joinPolicy, settings } = group.info.value;
  const submit = async (event) => {
    event.preventDefault();
    const given = Object.fromEntries(new FormData(event.target));
    const fields = {
      name: given.name, description: given.description, joinPolicy: given.joinPolicy,
      settings: { ai: given.ai === "on", moderation: given.moderation, slowModeSeconds: Number(given.slowModeSeconds), historyForNewMembers: given.history, ...(given.retentionDays ? { retentionDays: Number(given.retentionDays) } : {}) },
    };
    if (await tried(updateGroup(group, fields))) onClose();
  };
  const option = (value, label, chosen) => html`<option value=${value} selected=${value === chosen}>${label}</option>`;
  return html`<${Dialog} title="Group settings" onClose=${onClose}><form onSubmit=${submit}>
    <label class="field">Name<input name="name" required maxlength="100" value=${name} /></label>
    <label class="field">What it is about<input name="description" maxlength="500" value=${description} /></label>
    <label class="field">Who may join<select name="joinPolicy">${option("invite", "People with an invitation", joinPolicy)}${option("open", "Everybody on this server", joinPolicy)}${option("closed", "Only whom admins add", joinPolicy)}</select></label>
    <label class="field">New members see<select name="history">${option("all", "All messages", settings.historyForNewMembers)}${option("none", "Only what comes after them", settings.historyForNewMembers)}</select></label>
    <label class="field">Moderation<select name="moderation">${option("fast", "After sending", settings.moderation)}${option("strict", "Before sending", settings.moderation)}</select></label>
    <div class="two"><label class="field">Pause between messages, seconds<input name="slowModeSeconds" type="number" min="0" max="21600" value=${settings.slowModeSeconds} /></label>
    <label class="field">Keep messages, days<input name="retentionDays" type="number" min="1" max="36500" placeholder="for ever" value=${settings.retentionDays ?? ""} /></label></div>
    <label class="check"><input type="checkbox" name="ai" checked=${settings.ai} /> AI features in this group</label>
    <footer class="dialog-actions"><button type="button" class="button" onClick=${onClose}>Cancel</button><button class="button primary">Save</button></footer>
  </form></${Dialog}>`;
}
