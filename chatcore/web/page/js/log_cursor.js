/**
 * Our place in one group's log. Whatever order, holes or repeats the pushes have, events are handed over as
 * last + 1, last + 2, ...: the past is dropped, and what is ahead waits for what is missing before it.
 */
const MAX_AHEAD = 1_000;

export class LogCursor {
  /** @param {number} last the last place that is known and applied */
  constructor(last) {
    this.last = last;
    this.newest = last;
    /** @type {Map<number, {event: string, data: any, seq: number}>} */
    this.ahead = new Map();
  }

  /** Something is known to exist that was not handed over: ask `sync`. */
  get isBehind() {
    return this.newest > this.last;
  }

  heardOf(seq) {
    this.newest = Math.max(this.newest, seq);
  }

  /** What may be applied now, in order. */
  offer(entry) {
    this.heardOf(entry.seq);
    if (entry.seq <= this.last) return [];
    if (entry.seq > this.last + 1) {
      if (this.ahead.size < MAX_AHEAD) this.ahead.set(entry.seq, entry);
      return [];
    }
    const ready = [entry];
    this.last = entry.seq;
    this.#takeFollowing(ready);
    return ready;
  }

  /** Give up everything up to `seq`: the history is loaded anew from there. */
  jumpTo(seq) {
    this.last = Math.max(this.last, seq);
    for (const place of [...this.ahead.keys()]) if (place <= this.last) this.ahead.delete(place);
    const ready = [];
    this.#takeFollowing(ready);
    return ready;
  }

  #takeFollowing(ready) {
    for (let next; (next = this.ahead.get(this.last + 1)); ) {
      this.ahead.delete(next.seq);
      this.last = next.seq;
      ready.push(next);
    }
  }
}
