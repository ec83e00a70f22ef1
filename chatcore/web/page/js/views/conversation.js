/** One conversation: its head, the messages, the composer, and the panel beside them. */
import { html, signal, useEffect } from "../lib.js";
import { loadMembers, loadPins, openGroup, partnerOf, titleOf } from "../store/groups.js";
import { tried } from "../store/notices.js";
import { present } from "../store/people.js";
import { link } from "../socket.js";
import { go } from "../route.js";
import { plural } from "../text.js";
import { Composer } from "./composer.js";
import { Details } from "./details.js";
import { Avatar, Empty, Icon, IconButton } from "./parts.js";
import { SearchPanel, searchOffered } from "./search.js";
import { Timeline, TypingLine, jump } from "./timeline.js";

/** What stands beside the messages: "", "details" or "search". */
export const panel = signal("");

export function Conversation() {
  const group = openGroup.value;
  useEffect(() => {
    if (group && link.value === "online") {
      void tried(loadMembers(group));
      void tried(loadPins(group));
    }
  }, [group, link.value === "online"]);
  if (!group) {
    return html`<main class="conversation nothing"><${Empty} title="Choose a conversation"><p>Or start one with the plus.</p></${Empty}></main>`;
  }
  const toggle = (what) => { panel.value = panel.value === what ? "" : what; };
  return html`
    <main class="conversation" aria-label=${titleOf(group)}>
      <header class="head">
        <${IconButton} class="only-narrow" icon="back" label="Back to the conversations" onClick=${() => go("/")} />
        <button type="button" class="head-title" onClick=${() => toggle("details")}>
          ${group.isDirect ? html`<${Avatar} id=${partnerOf(group)?.userId ?? group.id} name=${titleOf(group)} size=${38} dot />` : html`<${Avatar} id=${group.id} name=${titleOf(group)} size=${38} square />`}
          <span class="head-words"><span class="head-name">${titleOf(group)}</span><small>${subtitleOf(group)}</small></span>
        </button>
        <span class="grow"></span>
        ${searchOffered.value && html`<${IconButton} icon="search" label="Search in this conversation" pressed=${panel.value === "search"} onClick=${() => toggle("search")} />`}
        <${IconButton} icon="people" label="Members and details" pressed=${panel.value === "details"} onClick=${() => toggle("details")} />
      </header>
      <${PinBar} group=${group} />
      <${Timeline} key=${group.id} group=${group} />
      <${TypingLine} group=${group} />
      <${Composer} key=${`composer-${group.id}`} group=${group} />
    </main>
    ${panel.value === "details" && html`<${Details} key=${`details-${group.id}`} group=${group} onClose=${() => toggle("details")} />`}
    ${panel.value === "search" && html`<${SearchPanel} key=${`search-${group.id}`} group=${group} onClose=${() => toggle("search")} />`}`;
}

function subtitleOf(group) {
  if (group.isDirect) {
    const partner = partnerOf(group);
    return { online: "Online", away: "Away" }[present.value.get(partner?.userId)] ?? "Offline";
  }
  const online = [...(group.members.value?.keys() ?? [])].filter((id) => present.value.has(id)).length;
  return `${plural(group.info.value.memberCount, "member")}${online ? `, ${online} online` : ""}`;
}

function PinBar({ group }) {
  const pins = group.pins.value?.filter((pin) => !pin.isDeleted) ?? [];
  if (!pins.length) return null;
  const newest = pins.at(-1);
  return html`<button type="button" class="pin-bar" onClick=${() => { jump.value = { groupId: group.id, messageId: newest._id, seq: newest.seq }; }}>
    <${Icon} name="pin" size=${16} /><b>${newest.sender.name}</b><span>${newest.content || "An attachment"}</span>${pins.length > 1 && html`<small>${pins.length} pins</small>`}</button>`;
}
