/** The messages of one group that are on this machine: a gapless stretch up to the newest, older ones by page. */
import { query, rest } from "../api.js";
import { signal } from "../lib.js";

const PAGE = 50;
const OLDER = 100;
const MAX_PAGES_BACK = 100;

export class Timeline {
  constructor(groupId) {
    this.groupId = groupId;
    /** Sorted by `seq`; replaced as a whole, so that views notice. */
    this.messages = signal([]);
    this.hasOlder = signal(true);
    this.isLoading = signal(false);
    this.isLoaded = signal(false);
    this.failure = signal(null);
    this.places = new Map();
    this.meanwhile = null;
    this.asking = null;
  }

  find(messageId) {
    const place = this.places.get(messageId);
    return place === undefined ? undefined : this.messages.value[place];
  }

  /** The newest page. What is pushed while it is asked for is kept and applied after it. */
  async load() {
    if (this.isLoaded.value || this.meanwhile) return;
    this.meanwhile = [];
    try {
      const page = await this.#page({ limit: PAGE });
      this.#set(page.messages);
      this.hasOlder.value = page.hasMore;
      this.isLoaded.value = true;
      const waiting = this.meanwhile;
      this.meanwhile = null;
      for (const change of waiting) change();
    } finally {
      this.meanwhile = null;
    }
  }

  /** One page at a time: who asks meanwhile waits for the same one. */
  loadOlder() {
    if (!this.asking) {
      const mine = this.#loadOlder().finally(() => { if (this.asking === mine) this.asking = null; });
      this.asking = mine;
    }
    return this.asking;
  }

  async #loadOlder() {
    if (!this.hasOlder.value || !this.isLoaded.value) return;
    const first = this.messages.value[0];
    const page = await this.#page(first ? { before: first.seq, limit: OLDER } : { limit: OLDER });
    // Before the view hears of it: it may want the next page at once.
    this.asking = null;
    this.hasOlder.value = page.hasMore && page.messages.length > 0;
    this.#set([...page.messages, ...this.messages.value]);
  }

  /** Load back until this place is there; false where the past ends first. */
  async reach(seq) {
    await this.load();
    for (let pages = 0; pages < MAX_PAGES_BACK; pages += 1) {
      if ((this.messages.value[0]?.seq ?? Infinity) <= seq) return true;
      if (!this.hasOlder.value) return false;
      await this.loadOlder();
    }
    return false;
  }

  /** Run now, or after the page that is being asked for. Repeats of what the page already holds change nothing. */
  apply(change) {
    if (this.meanwhile) this.meanwhile.push(change);
    else if (this.isLoaded.value) change();
  }

  add(message) {
    if (this.places.has(message._id)) return;
    const list = this.messages.value;
    if (!list.length || list[list.length - 1].seq < message.seq) {
      this.places.set(message._id, list.length);
      this.messages.value = [...list, message];
    } else {
      this.#set([...list, message].sort((one, other) => one.seq - other.seq));
    }
  }

  /** @param {(message: any) => object} change the fields that are new */
  change(messageId, change) {
    const place = this.places.get(messageId);
    if (place === undefined) return;
    const list = [...this.messages.value];
    list[place] = { ...list[place], ...change(list[place]) };
    this.messages.value = list;
  }

  /** Begin anew: the past on this machine has a hole. */
  reset() {
    this.isLoaded.value = false;
    this.hasOlder.value = true;
    this.#set([]);
  }

  #set(messages) {
    this.places = new Map(messages.map((message, place) => [message._id, place]));
    this.messages.value = messages;
  }

  async #page(fields) {
    this.isLoading.value = true;
    this.failure.value = null;
    try {
      return await rest("GET", `/messages/${this.groupId}${query(fields)}`);
    } catch (error) {
      this.failure.value = error;
      throw error;
    } finally {
      this.isLoading.value = false;
    }
  }
}
