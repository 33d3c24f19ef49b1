// The store's versions, two of them side by side, and the drift of the traffic.
import { Loading, Notice, html, useMemo, useState } from "../dom.js";
import { useAnswer } from "../api.js";
import { amount, count, fixed, label, moment, percent, plural } from "../format.js";
import { Mark, markClass } from "../marks.js";
import { Segmentation } from "../segmentation.js";
import { useLive } from "./live.js";

export function Versions({ model }) {
  const { value, error } = useAnswer("console/versions");
  return html`
    ${error && html`<${Notice} kind="bad" title="The versions cannot be listed">${error.message}.<//>`}
    ${!value && !error && html`<${Loading} what="the versions" />`}
    ${value?.sentence && html`<${Notice} title="No versions to list">${value.sentence}. Start the server from a store
      (<code>segserve serve --store models</code>) to compare its versions here.<//>`}
    ${value?.versions.length > 0 && html`<${List} ...${value} /><${Compare} versions=${value.versions} served=${model.version} />`}
    <${Drift} />`;
}

function List({ versions, total }) {
  return html`<section class="panel" aria-labelledby="list-title"><h2 id="list-title">In the store</h2>
    <p class="soft">${plural(total, "version")}${total > versions.length ? `, of which the newest ${versions.length}` : ""}. Promote
      one with <code>segserve models promote VERSION</code>.</p>
    <div class="scroll" tabindex="0" role="region" aria-label="Versions"><table class="grid">
      <thead><tr><th scope="col">Version</th><th scope="col">Made</th><th scope="col" class="number">Customers</th><th scope="col" class="number">Segments</th>
        <th scope="col" class="number">Silhouette</th><th scope="col">Transform</th></tr></thead>
      <tbody>${versions.map((found) => html`<tr key=${found.version} class=${found.is_served ? "current" : ""}>
        <th scope="row"><code>${found.version}</code> ${found.is_served && html`<span class="badge pass">serving</span>`}
          ${found.is_production && html` <span class="badge">production</span>`}${found.is_latest && html` <span class="badge">latest</span>`}</th>
        ${found.problem ? html`<td colspan="5" class="problem">${found.problem}</td>` : html`<td class="moment">${moment(found.created)}</td>
          <td class="number">${count(found.customers)}</td><td class="number">${found.k}</td><td class="number">${fixed(found.silhouette ?? NaN, 3)}</td><td>${found.transform}</td>`}
      </tr>`)}</tbody></table></div></section>`;
}

function Compare({ versions, served }) {
  const usable = versions.filter((found) => !found.problem).map((found) => found.version);
  const [newer, setNewer] = useState(usable.includes(served) ? served : usable[0]);
  const [older, setOlder] = useState(usable[usable.indexOf(newer) + 1] ?? usable.find((name) => name !== newer));
  const before = useAnswer(older ? `console/versions/${older}` : null);
  const after = useAnswer(newer ? `console/versions/${newer}` : null);
  if (usable.length < 2) return html`<section class="panel" aria-labelledby="compare-title"><h2 id="compare-title">Compare two</h2>
    <p class="soft">There is only one version so far. Train another, and their segments can be compared here.</p></section>`;
  const pick = (title, value, set) => html`<label class="field"><span>${title}</span>
    <select value=${value} onChange=${(event) => set(event.currentTarget.value)}>${usable.map((name) => html`<option key=${name} value=${name}>${name}</option>`)}</select></label>`;
  const error = before.error ?? after.error;
  return html`<section class="panel" aria-labelledby="compare-title"><h2 id="compare-title">Compare two</h2>
    <div class="fields">${pick("From", older, setOlder)}${pick("To", newer, setNewer)}</div>
    ${error ? html`<${Notice} kind="bad">${error.message}.<//>`
      : !before.value || !after.value ? html`<${Loading} what="both" />`
      : older === newer ? html`<p class="soft">Choose two different versions.</p>`
      : html`<${Migration} before=${before.value} after=${after.value} />`}
  </section>`;
}

/** Return who goes where: counted at training where the newer one followed the older, else on its sample. */
export function migrate(before, after) {
  const lineage = after.card.training.lineage;
  if (lineage?.previous === before.version && lineage.migration) {
    return { table: lineage.migration, source: "of all customers that the newer version was trained with" };
  }
  const sample = after.sample ?? before.sample;
  if (!sample) return null;
  const table = {};
  sample.Age.forEach((age, place) => {
    const power = sample.Spending_Power[place];
    const row = (table[before.segments[before.assign(age, power)].id] ??= {});
    const to = after.segments[after.assign(age, power)].id;
    row[to] = (row[to] ?? 0) + 1;
  });
  return { table, source: `of ${plural(sample.Age.length, "customer")} that the ${after.sample ? "newer" : "older"} version keeps as a sample` };
}

function Migration({ before, after }) {
  const old = useMemo(() => new Segmentation(before), [before]);
  const young = useMemo(() => new Segmentation(after), [after]);
  const found = useMemo(() => migrate(old, young), [old, young]);
  const lineage = after.training.lineage;
  const isSame = before.model_digest === after.model_digest;
  return html`
    ${isSame && html`<${Notice} kind="good" title="The same model">Both have the digest <code>${after.model_digest.slice(0, 12)}</code>: every customer gets the same segment.<//>`}
    ${found ? html`<${Matrix} old=${old} young=${young} ...${found} />`
      : html`<${Notice}>Neither version keeps a sample of its customers, so it cannot be said who would move. Their centroids can be compared:<//>`}
    ${lineage?.previous === before.model_version && (lineage.born.length > 0 || lineage.retired.length > 0) && html`<p class="soft">
      ${lineage.born.length > 0 && `New: ${lineage.born.map((id) => young.byId(id)?.name ?? id).join(", ")}. `}
      ${lineage.retired.length > 0 && `Numbers no longer used: ${lineage.retired.join(", ")}.`}</p>`}
    <div class="halves">${[old, young].map((one, place) => html`<div key=${one.version + place}><h3>${place ? "To" : "From"} <code>${one.version}</code></h3>
      <div class="scroll" tabindex="0" role="region" aria-label=${`Segments of ${one.version}`}><table class="grid"><thead><tr><th scope="col">Segment</th><th scope="col" class="number">Share</th><th scope="col" class="number">Age</th><th scope="col" class="number">Spending Power</th></tr></thead>
      <tbody>${one.segments.map((segment) => html`<tr key=${segment.id}><th scope="row"><${Mark} id=${segment.mark} /> ${segment.name}</th><td class="number">${percent(segment.share)}</td>
        <td class="number">${amount("Age", segment.profile.Age)}</td><td class="number">${amount("Spending_Power", segment.profile.Spending_Power)}</td></tr>`)}</tbody></table></div></div>`)}</div>`;
}

function Matrix({ old, young, table, source }) {
  const total = (row) => Object.values(row ?? {}).reduce((sum, n) => sum + n, 0);
  const all = Object.values(table).reduce((sum, row) => sum + total(row), 0);
  const kept = Object.entries(table).reduce((sum, [id, row]) => sum + (row[id] ?? 0), 0);
  return html`<p><strong class="figure">${percent(all ? kept / all : 0)}</strong> keep their segment's number, ${source}.</p>
    <div class="scroll" tabindex="0" role="region" aria-label="Who goes where"><table class="grid matrix">
      <caption class="hidden">Rows: segment under the older version. Columns: under the newer one.</caption>
      <thead><tr><th scope="col">From ↓ to →</th>${young.segments.map((segment) => html`<th scope="col" class="number" key=${segment.id}><${Mark} id=${segment.mark} /> ${segment.name}</th>`)}</tr></thead>
      <tbody>${old.segments.map((segment) => html`<tr key=${segment.id} class=${markClass(segment.mark)}><th scope="row"><${Mark} id=${segment.mark} /> ${segment.name}</th>
        ${young.segments.map((other) => {
          const n = table[segment.id]?.[other.id] ?? 0;
          const share = n / (total(table[segment.id]) || 1);
          return html`<td key=${other.id} class="number heat" style=${{ "--heat": `${Math.round(share * 40)}%` }}>${n ? count(n) : "·"}${n > 0 && html` <small>${percent(share, 0)}</small>`}</td>`;
        })}</tr>`)}</tbody></table></div>`;
}

const VERDICTS = [
  { below: 0.1, kind: "good", word: "as at training" },
  { below: 0.25, kind: "warn", word: "has moved: watch" },
  { below: Infinity, kind: "bad", word: "has moved far: train again" },
];

/** The population stability index of each feature since start; 0.1 and 0.25 are the usual thresholds. */
function Drift() {
  const { live, error } = useLive();
  return html`<section class="panel" aria-labelledby="drift-title"><h2 id="drift-title">Drift of the traffic</h2>${drift({ live, error })}</section>`;
}

function drift({ live, error }) {
  if (error?.status === 404) return html`<p class="soft">This server keeps no live figures (it has no route <code>/live</code>), so the drift is not known.</p>`;
  if (!live) return error ? html`<p class="problem" role="alert">${error.message}.</p>` : html`<${Loading} what="the drift" />`;
  const features = Object.entries(live.drift ?? {}).filter(([, index]) => Number.isFinite(index));
  if (!features.length) return html`<p class="soft">Not known yet: it takes some traffic, and a model that keeps the distribution of its training data.</p>`;
  return html`<p class="soft">Population stability index of the records since start against training: below 0.1 nothing has changed, above 0.25 train again.</p>
    <table class="bars drift"><thead class="hidden"><tr><th scope="col">Feature</th><th scope="col">Bar</th><th scope="col">Index</th><th scope="col">Verdict</th></tr></thead>
    <tbody>${features.map(([name, index]) => {
      const found = VERDICTS.find((verdict) => index < verdict.below);
      return html`<tr key=${name} class=${found.kind}><th scope="row">${label(name)}</th>
        <td aria-hidden="true"><span class="bar-fill" style=${{ width: `${Math.min(100, index * 200)}%` }}></span></td>
        <td class="number">${fixed(index, 3)}</td><td>${found.word}</td></tr>`;
    })}</tbody></table>`;
}
