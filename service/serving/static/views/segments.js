// Who the segments are: a card each, and the plane that they divide.
import { Notice, html, useState } from "../dom.js";
import { amount, count, label, percent, plural, signed } from "../format.js";
import { Mark, markClass } from "../marks.js";
import { Plane, isHeavyTailed } from "../plane.js";

const COLUMNS = ["Age", "Income", "Purchases", "Spending_Power"];

export function Segments({ model }) {
  const customers = model.segments.reduce((sum, segment) => sum + segment.size, 0);
  const [isLog, setLog] = useState(() => isHeavyTailed(model));
  const training = model.card.training;
  return html`
    <p class="lead">${plural(customers, "customer")} in ${plural(model.segments.length, "segment")}, by Age and
      Spending Power (Income per purchase)${model.isLog ? ", the latter on a logarithmic scale" : ""}.</p>
    <${Findings} training=${training} />
    <${Sweep} training=${training} k=${model.segments.length} />
    <${Shares} model=${model} />
    <section aria-labelledby="map-title" class="panel">
      <div class="panel-head"><h2 id="map-title">The map</h2><${ScaleChoice} isLog=${isLog} onChange=${setLog} /></div>
      <p class="soft">${model.sample
        ? `${plural(model.sample.Age.length, "customer")} of the training data, where they lie; the large marks are the centroids, the tint says which segment a record there would get.`
        : "The large marks are the centroids; the tint says which segment a record there would get."}</p>
      <${Plane} model=${model} isLog=${isLog} title=${describeMap(model)} />
      <${Legend} model=${model} />
      ${!model.sample && html`<${Notice}>This model keeps no sample of its training records, so none are drawn.
        Models trained with a newer segserve do.<//>`}
    </section>
    <section aria-labelledby="cards-title">
      <h2 id="cards-title">Who they are</h2>
      <div class="cards">${model.segments.map((segment) => html`<${Card} key=${segment.id} segment=${segment} model=${model} />`)}</div>
    </section>
    <${Associations} model=${model} />`;
}

function describeMap(model) {
  const parts = model.segments.map((segment) => {
    const [age, power] = model.unscaled(segment.centroid_scaled);
    return `${segment.name} around Age ${amount("Age", age)} and Spending Power ${amount("Spending_Power", power)}`;
  });
  return `Map of Age (across) and Spending Power (up): ${parts.join("; ")}.`;
}

export function ScaleChoice({ isLog, onChange }) {
  return html`<div class="choice" role="group" aria-label="Scale of Spending Power">
    <button type="button" aria-pressed=${!isLog} onClick=${() => onChange(false)}>Linear</button>
    <button type="button" aria-pressed=${isLog} onClick=${() => onChange(true)}>Logarithmic</button>
  </div>`;
}

export function Legend({ model }) {
  return html`<ul class="legend">${model.segments.map((segment) => html`<li key=${segment.id}>
    <${Mark} id=${segment.mark} /> ${segment.name}</li>`)}</ul>`;
}

/** What training found out about the data, in its own sentences. */
function Findings({ training }) {
  const { structure, choice, tail } = training;
  const silhouette = training.metrics?.silhouette;
  if (!structure && !choice) {
    return html`<${Notice}>This model says nothing on how its segments were chosen or whether the data has any structure:
      it was made before training kept that.${silhouette !== undefined && ` Its silhouette is ${silhouette.toFixed(3)}.`}<//>`;
  }
  return html`<div class="findings">
    ${structure && html`<${Notice} kind=${structure.has_structure ? "good" : "warn"}
      title=${structure.has_structure ? "The data has structure" : "A convenient division, not natural groups"}>${structure.sentence}<//>`}
    ${choice && html`<${Notice} title=${`Why ${plural(choice.k, "segment")}`}>${choice.reason}<//>`}
    ${tail?.sentence && html`<${Notice} kind="warn" title="Heavy tail">${tail.sentence}<//>`}
  </div>`;
}

const SWEPT = {
  silhouette: "Silhouette", stability: "Stability", worst_jaccard: "Worst segment's stability", gap: "Gap", smallest_share: "Smallest segment",
};

/** The numbers of segments that training tried, with what it looked at. */
function Sweep({ training, k }) {
  const tried = training.sweep ?? [];
  const names = Object.keys(SWEPT).filter((name) => tried.some((one) => Number.isFinite(one[name])));
  if (tried.length < 2 || !names.length) return null;
  const show = (name, value) => (!Number.isFinite(value) ? "none" : name === "smallest_share" ? percent(value) : value.toFixed(3));
  return html`<details><summary>The other numbers of segments that were tried</summary>
    <div class="scroll" tabindex="0" role="region" aria-label="Numbers of segments that were tried"><table class="grid">
      <thead><tr><th scope="col">Segments</th>${names.map((name) => html`<th scope="col" class="number" key=${name}>${SWEPT[name]}</th>`)}</tr></thead>
      <tbody>${tried.map((one) => html`<tr key=${one.k}><th scope="row">${one.k} ${one.k === k && html`<span class="badge pass">chosen</span>`}</th>
        ${names.map((name) => html`<td class="number" key=${name}>${show(name, one[name])}</td>`)}</tr>`)}</tbody></table></div></details>`;
}

function Shares({ model }) {
  return html`<div class="shares" role="img"
      aria-label=${model.segments.map((segment) => `${segment.name}: ${percent(segment.share)}`).join(", ")}>
    ${model.segments.map((segment) => html`<span key=${segment.id} class=${markClass(segment.mark)}
      style=${{ flexGrow: String(Math.max(segment.share, 0.004)) }}></span>`)}
  </div>`;
}

function Card({ segment, model }) {
  return html`<article class=${`card ${markClass(segment.mark)}`} aria-labelledby=${`segment-${segment.id}`}>
    <header>
      <${Mark} id=${segment.mark} size=${22} />
      <h3 id=${`segment-${segment.id}`}>${segment.name}</h3>
      <span class="tag" title="What an invocation answers">segment ${segment.id}</span>
    </header>
    <p class="share"><strong>${percent(segment.share)}</strong> ${plural(segment.size, "customer")}</p>
    <table class="facts">
      <thead class="hidden"><tr><th scope="col">Column</th><th scope="col">Mean</th>
        <th scope="col">Against all customers</th><th scope="col">Difference</th></tr></thead>
      <tbody>${COLUMNS.filter((name) => name in segment.profile).map((name) => html`<${Fact}
        key=${name} name=${name} segment=${segment} model=${model} />`)}</tbody>
    </table>
    ${segment.rule?.text && html`<p class="rule"><span class="soft">In short:</span> ${segment.rule.text}
      ${segment.rule.precision !== undefined && html`<span class="soft"> (holds for ${percent(segment.rule.precision, 0)} of those it
      describes, describes ${percent(segment.rule.coverage, 0)} of the segment)</span>`}</p>`}
    ${segment.examples?.length > 0 && html`<details><summary>Typical customers</summary>
      <ul>${segment.examples.map((example) => html`<li>${COLUMNS.filter((name) => example[name] !== undefined)
        .map((name) => `${label(name)} ${amount(name, example[name])}`).join(", ")}</li>`)}</ul></details>`}
  </article>`;
}

/** One column: the mean, where it lies between the extremes of all segments, and how far from everybody's mean. */
function Fact({ name, segment, model }) {
  const mean = segment.profile[name];
  const overall = model.overallMean(name);
  const difference = segment.difference?.[name] ?? (overall ? mean / overall - 1 : 0);
  const all = model.card.training.overall?.statistics?.[name];
  const own = segment.statistics?.[name];
  const means = model.segments.map((other) => other.profile[name] ?? 0);
  const low = all?.p05 ?? Math.min(...means, overall);
  const high = all?.p95 ?? Math.max(...means, overall);
  const place = (value) => `${Math.min(100, Math.max(0, ((value - low) / (high - low || 1)) * 100)).toFixed(1)}%`;
  const from = own ? place(own.p05) : place(Math.min(mean, overall));
  const to = own ? place(own.p95) : place(Math.max(mean, overall));
  return html`<tr title=${own ? `9 of 10 lie between ${amount(name, own.p05)} and ${amount(name, own.p95)}` : null}>
    <th scope="row">${label(name)}</th>
    <td class="number">${amount(name, mean)}</td>
    <td class="strip" aria-hidden="true"><span class="track">
      <span class="band" style=${{ left: from, width: `${Math.max(1, parseFloat(to) - parseFloat(from))}%` }}></span>
      <span class="all" style=${{ left: place(overall) }}></span>
      <span class="own" style=${{ left: place(mean) }}></span></span></td>
    <td class="number soft">${signed(difference)}</td>
  </tr>`;
}

/** Columns that were not used to segment, and whether the segments differ in them. */
function Associations({ model }) {
  const associations = model.card.training.associations ?? [];
  if (!associations.length) return null;
  return html`<section class="panel" aria-labelledby="associations-title"><h2 id="associations-title">Not used, but compared</h2>
    ${associations.map((found) => html`<div key=${found.column}><h3>${label(found.column)}</h3><p>${found.sentence}</p>
      <div class="scroll" tabindex="0" role="region" aria-label=${`Customers by segment and ${label(found.column)}`}><table class="grid">
        <thead><tr><th scope="col">Segment</th>${found.values.map((value) => html`<th scope="col" class="number">${value}</th>`)}</tr></thead>
        <tbody>${model.segments.map((segment) => html`<tr key=${segment.id}><th scope="row"><${Mark} id=${segment.mark} /> ${segment.name}</th>
          ${found.values.map((value) => html`<td class="number">${count(found.table?.[segment.id]?.[value] ?? 0)}</td>`)}</tr>`)}</tbody>
      </table></div></div>`)}
  </section>`;
}
