/** One number over the last minutes: a line of SVG, the newest value, and its span for those who cannot see it. */
import { html } from "../lib.js";

const WIDTH = 300;
const HEIGHT = 74;

/** @param {{title: string, of: (point: any) => number, points: any[], unit?: string, digits: number}} props */
export function Plot({ title, of, points, unit = "", digits }) {
  const values = points.map(of);
  const newest = values.at(-1) ?? 0;
  const top = Math.max(...values, digits === 0 ? 1 : 0.1) * 1.15;
  const words = (value) => `${value.toLocaleString(undefined, { maximumFractionDigits: digits, minimumFractionDigits: digits })}${unit ? ` ${unit}` : ""}`;
  const step = WIDTH / Math.max(29, values.length - 1);
  const from = WIDTH - (values.length - 1) * step;
  const line = values.map((value, index) => `${(from + index * step).toFixed(1)},${(HEIGHT - (value / top) * HEIGHT).toFixed(1)}`);
  return html`<figure class="plot">
    <figcaption><span>${title}</span><b>${words(newest)}</b></figcaption>
    <svg viewBox=${`0 0 ${WIDTH} ${HEIGHT}`} preserveAspectRatio="none" role="img" aria-label=${`${title}: now ${words(newest)}, at most ${words(Math.max(...values))}`}>
      <line x1="0" x2=${WIDTH} y1=${HEIGHT / 2} y2=${HEIGHT / 2} class="grid" /><line x1="0" x2=${WIDTH} y1=${HEIGHT - 0.5} y2=${HEIGHT - 0.5} class="grid" />
      <polygon class="area" points=${`${from.toFixed(1)},${HEIGHT} ${line.join(" ")} ${WIDTH},${HEIGHT}`} /><polyline class="curve" points=${line.join(" ")} />
    </svg><small class="muted">at most ${words(Math.max(...values))}</small></figure>`;
}
