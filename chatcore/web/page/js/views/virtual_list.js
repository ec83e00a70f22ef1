/**
 * A list of any length of which only what is in view is in the document.
 *
 * Heights are guessed until a row was shown once, then known. The place on screen hangs on an anchor: the bottom, while
 * one is there, else the first row in view and its offset. So neither a page of history above nor a picture that loads
 * moves what one reads.
 */
import { html, useEffect, useLayoutEffect, useRef, useState } from "../lib.js";

const OVERSCAN_PX = 600;
const NEAR_BOTTOM_PX = 48;
const NEAR_TOP_PX = 500;

/**
 * @param {{items: {key: string, guess: number, isMark?: boolean}[], row: (item: any, index: number) => any, onNearTop?: () => void,
 *   onBottom?: (isThere: boolean) => void, handle?: {current: any}, label: string}} props
 */
export function VirtualList({ items, row, onNearTop, onBottom, handle, label }) {
  const box = useRef(null);
  const inner = useRef(null);
  const state = useRef(null);
  state.current ??= { heights: new Map(), anchor: null, stuck: true, height: 0, observer: null, shown: new Map() };
  const [, redraw] = useState(0);
  const self = state.current;
  const tops = placesOf(items, self.heights);
  const total = tops[items.length];
  const viewport = self.height || 800;
  const scroll = self.stuck ? Math.max(0, total - viewport) : anchored(self, items, tops);
  const first = Math.max(0, indexAt(tops, scroll - OVERSCAN_PX));
  const last = Math.min(items.length, indexAt(tops, scroll + viewport + OVERSCAN_PX) + 1);
  self.items = items;
  self.tops = tops;

  useLayoutEffect(() => {
    const observer = (self.observer = new ResizeObserver((entries) => {
      let changed = false;
      for (const entry of entries) {
        if (entry.target === box.current) {
          changed ||= self.height !== box.current.clientHeight;
          self.height = box.current.clientHeight;
        } else changed = measure(self, entry.target) || changed;
      }
      if (changed) redraw((count) => count + 1);
    }));
    self.height = box.current.clientHeight;
    observer.observe(box.current);
    redraw((count) => count + 1);
    return () => observer.disconnect();
  }, []);

  useLayoutEffect(() => {
    let changed = false;
    const there = new Set();
    for (const element of inner.current.children) {
      there.add(element);
      if (!self.shown.has(element)) self.observer?.observe(element);
      self.shown.set(element, true);
      changed = measure(self, element) || changed;
    }
    for (const element of self.shown.keys()) {
      if (!there.has(element)) {
        self.observer?.unobserve(element);
        self.shown.delete(element);
      }
    }
    const wanted = self.stuck ? box.current.scrollHeight : scroll;
    if (Math.abs(box.current.scrollTop - Math.min(wanted, box.current.scrollHeight - box.current.clientHeight)) > 1) {
      self.ours = true;
      box.current.scrollTop = wanted;
    }
    if (changed) redraw((count) => count + 1);
    if (box.current.scrollTop < NEAR_TOP_PX) onNearTop?.();
  });

  const scrolled = () => {
    const { scrollTop, scrollHeight, clientHeight } = box.current;
    const atBottom = scrollHeight - scrollTop - clientHeight < NEAR_BOTTOM_PX;
    if (self.ours && !self.touched) {
      self.ours = false;
      if (self.stuck) return;
    }
    if (atBottom !== self.stuck) {
      self.stuck = atBottom;
      onBottom?.(atBottom);
    }
    let index = indexAt(self.tops, scrollTop);
    // A day's name moves up when older messages of that day come; what people wrote stays where it is.
    while (self.items[index]?.isMark && index < self.items.length - 1) index += 1;
    self.anchor = self.items[index] ? { key: self.items[index].key, offset: scrollTop - self.tops[index] } : null;
    if (scrollTop < NEAR_TOP_PX) onNearTop?.();
    redraw((count) => count + 1);
  };

  if (handle) {
    handle.current = {
      toBottom() {
        self.stuck = true;
        onBottom?.(true);
        redraw((count) => count + 1);
      },
      toKey(key) {
        if (!self.items.some((item) => item.key === key)) return false;
        self.stuck = false;
        onBottom?.(false);
        self.anchor = { key, offset: -Math.min(160, self.height / 3) };
        redraw((count) => count + 1);
        return true;
      },
    };
  }
  useEffect(() => { onBottom?.(self.stuck); }, []);

  const touch = () => { self.touched = true; };
  return html`
    <div ref=${box} class="virtual" role="log" aria-label=${label} aria-live="off" tabindex="0" onScroll=${scrolled}
      onWheel=${touch} onTouchMove=${touch} onPointerDown=${touch} onKeyDown=${touch}>
      <div class="virtual-space" style=${{ height: `${total}px` }}>
        <div ref=${inner} class="virtual-rows" style=${{ transform: `translateY(${tops[first]}px)` }}>
          ${items.slice(first, last).map((item, place) => html`<div key=${item.key} data-key=${item.key} class="virtual-row">${row(item, first + place)}</div>`)}
        </div>
      </div>
    </div>`;
}

function placesOf(items, heights) {
  const tops = new Float64Array(items.length + 1);
  for (let index = 0; index < items.length; index += 1) {
    tops[index + 1] = tops[index] + (heights.get(items[index].key) ?? items[index].guess);
  }
  return tops;
}

/** The row at a height, by bisection. */
function indexAt(tops, height) {
  let low = 0;
  let high = tops.length - 2;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (tops[middle] <= height) low = middle;
    else high = middle - 1;
  }
  return Math.max(0, low);
}

function anchored(self, items, tops) {
  if (!self.anchor) return 0;
  const index = items.findIndex((item) => item.key === self.anchor.key);
  return index < 0 ? 0 : Math.max(0, tops[index] + self.anchor.offset);
}

function measure(self, element) {
  const key = element.dataset.key;
  const { height } = element.getBoundingClientRect();
  if (!key || !height || self.heights.get(key) === height) return false;
  self.heights.set(key, height);
  return true;
}
