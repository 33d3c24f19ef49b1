// What every view draws with: Preact's hooks, and htm in place of a build step.
import { Fragment, h, render } from "./vendor/preact.js";
import htm from "./vendor/htm.js";

export { useCallback, useEffect, useLayoutEffect, useMemo, useRef, useState } from "./vendor/preact-hooks.js";
export { Fragment, render };

export const html = htm.bind(h);

/** Show a sentence on what is missing, wrong or to come. */
export function Notice({ kind = "plain", title, children }) {
  return html`<div class="notice ${kind}" role=${kind === "bad" ? "alert" : null}>
    ${title && html`<strong>${title}</strong>`}<div>${children}</div>
  </div>`;
}

export function Loading({ what }) {
  return html`<p class="loading" role="status">Loading ${what}…</p>`;
}
