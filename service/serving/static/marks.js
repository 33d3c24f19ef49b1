// A segment is told by its shape as well as by its colour: not everybody tells ten colours apart.
import { html } from "./dom.js";

const PATHS = [
  "M0-5a5 5 0 1 0 0 10a5 5 0 1 0 0-10z",
  "M0-5.6L5.4 4.2H-5.4z",
  "M-4.4-4.4h8.8v8.8h-8.8z",
  "M0-6L5.4 0L0 6L-5.4 0z",
  "M-1.8-5.2h3.6v3.4h3.4v3.6h-3.4v3.4h-3.6v-3.4h-3.4v-3.6h3.4z",
  "M0 5.6L5.4-4.2H-5.4z",
  "M-5.4 0L-2.7-4.8H2.7L5.4 0L2.7 4.8H-2.7z",
  "M0-6l1.7 3.7 4 .5-3 2.7.8 4L0 2.9-3.5 4.9l.8-4-3-2.7 4-.5z",
  "M-5.4-2.2h10.8v4.4H-5.4z",
  "M-2.2-5.4h4.4V5.4h-4.4z",
];

export const COLOURS = 10;

export const markClass = (id) => `segment-${id % COLOURS}`;

/** The outline of a mark, some 10 units wide around 0, 0. */
export const markPath = (id) => PATHS[id % PATHS.length];

export function Mark({ id, size = 14 }) {
  return html`<svg class="mark ${markClass(id)}" width=${size} height=${size} viewBox="-7 -7 14 14" aria-hidden="true">
    <path d=${markPath(id)} />
  </svg>`;
}

/** The colours of the page's theme, as a canvas needs them. */
export function readColours() {
  const style = getComputedStyle(document.documentElement);
  const read = (name) => style.getPropertyValue(name).trim();
  return {
    segments: Array.from({ length: COLOURS }, (_, place) => read(`--segment-${place}`)),
    surface: read("--surface"),
    ink: read("--ink"),
    soft: read("--ink-soft"),
    line: read("--line"),
    font: read("--font"),
  };
}
