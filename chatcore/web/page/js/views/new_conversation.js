/** Begin: a person, an open group, a new group, or an invitation. */
import { html, useEffect, useSignal } from "../lib.js";
import { acceptInvite, addMember, createGroup, findGroups, findUsers, groups, joinGroup, startDirect } from "../store/groups.js";
import { notice, tried } from "../store/notices.js";
import { me } from "../store/people.js";
import { go } from "../route.js";
import { plural } from "../text.js";
import { Avatar, Dialog, Empty, useSettled } from "./parts.js";

const TABS = [["people", "Person"], ["open", "Open groups"], ["create", "New group"], ["invite", "Invitation"]];

export function NewDialog({ onClose }) {
  const tab = useSignal("people");
  const enter = async (work) => {
    try {
      const group = await work;
      onClose();
      go(`/g/${group.id}`);
    } catch (error) {
      notice(error.message, "bad");
    }
  };
  return html`<${Dialog} title="New conversation" onClose=${onClose}>
    <div class="tabs" role="tablist" aria-label="Kind">${TABS.map(([id, label]) => html`<button type="button" role="tab" aria-selected=${tab.value === id} onClick=${() => { tab.value = id; }}>${label}</button>`)}</div>
    ${tab.value === "people" && html`<${Finder} key="people" label="Find people by name" find=${findUsers} row=${(user) => html`<${PersonRow} user=${user} onPick=${() => enter(startDirect(user.userId))} />`}
      keep=${(user) => user.userId !== me.value.userId} nobody="Nobody has this name" />`}
    ${tab.value === "open" && html`<${Finder} key="open" label="Find open groups by name" find=${findGroups} row=${(info) => html`<${GroupRow} info=${info} onPick=${() => enter(joinGroup(info._id))} />`} nobody="No open group has this name" />`}
    ${tab.value === "create" && html`<${CreateForm} onDone=${enter} />`}
    ${tab.value === "invite" && html`<${InviteForm} onDone=${enter} />`}
  </${Dialog}>`;
}

export function Finder({ label, find, row, keep = () => true, nobody }) {
  const text = useSignal("");
  const found = useSignal(null);
  const settled = useSettled(text.value, 200);
  useEffect(() => {
    let current = true;
    find(settled.trim()).then((list) => { if (current) found.value = list; }, (error) => notice(error.message, "bad"));
    return () => { current = false; };
  }, [settled]);
  const list = found.value?.filter(keep);
  return html`<label class="field">${label}<input type="search" autofocus value=${text.value} onInput=${(event) => { text.value = event.target.value; }} /></label>
    <ul class="people-list tall">${list?.map((one) => html`<li key=${one.userId ?? one._id}>${row(one)}</li>`)}</ul>
    ${list?.length === 0 && html`<${Empty} title=${settled.trim() ? nobody : "Type the beginning of a name"} />`}`;
}

export const PersonRow = ({ user, onPick }) => html`<button type="button" class="row-button" onClick=${onPick}>
  <${Avatar} id=${user.userId} name=${user.name} size=${36} dot /><span><b>${user.name}</b>${user.username && html`<small class="muted">@${user.username}</small>`}</span></button>`;

function GroupRow({ info, onPick }) {
  const isIn = groups.value.has(info._id);
  return html`<button type="button" class="row-button" onClick=${onPick}><${Avatar} id=${info._id} name=${info.name} size=${36} square />
    <span><b>${info.name}</b><small class="muted">${info.description || plural(info.memberCount, "member")}</small></span><em class="muted">${isIn ? "Open" : "Join"}</em></button>`;
}

function CreateForm({ onDone }) {
  const chosen = useSignal([]);
  const submit = (event) => {
    event.preventDefault();
    const { name, description, joinPolicy } = Object.fromEntries(new FormData(event.target));
    const make = async () => {
      const group = await createGroup({ name, description, joinPolicy });
      for (const user of chosen.value) await tried(addMember(group, user.userId));
      return group;
    };
    onDone(make());
  };
  const without = (user) => { chosen.value = chosen.value.filter((one) => one.userId !== user.userId); };
  return html`<form onSubmit=${submit}>
    <label class="field">Name<input name="name" required maxlength="100" autofocus /></label>
    <label class="field">What it is about<input name="description" maxlength="500" /></label>
    <label class="field">Who may join<select name="joinPolicy"><option value="invite">People with an invitation</option><option value="open">Everybody on this server</option><option value="closed">Only whom admins add</option></select></label>
    <div class="chosen">${chosen.value.map((user) => html`<button type="button" class="chip" onClick=${() => without(user)} aria-label=${`Without ${user.name}`}>${user.name} ×</button>`)}</div>
    <${Finder} label="Add people" find=${findUsers} keep=${(user) => user.userId !== me.value.userId && !chosen.value.some((one) => one.userId === user.userId)} nobody="Nobody else has this name"
      row=${(user) => html`<${PersonRow} user=${user} onPick=${() => { chosen.value = [...chosen.value, user]; }} />`} />
    <footer class="dialog-actions"><button class="button primary">Create the group</button></footer>
  </form>`;
}

function InviteForm({ onDone }) {
  const submit = (event) => {
    event.preventDefault();
    const code = new FormData(event.target).get("link").trim().split("/").at(-1);
    onDone(acceptInvite(code));
  };
  return html`<form onSubmit=${submit}>
    <label class="field">Invitation link or code<input name="link" required autofocus autocomplete="off" /></label>
    <footer class="dialog-actions"><button class="button primary">Join</button></footer>
  </form>`;
}
