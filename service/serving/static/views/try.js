// One record: move it or type it, see its segment, take the code for the very same call.
import { Notice, html, useEffect, useRef, useState } from "../dom.js";
import { ask } from "../api.js";
import { amount, fixed, percent } from "../format.js";
import { Mark, markClass } from "../marks.js";
import { Plane, isHeavyTailed } from "../plane.js";
import { Snippets } from "./snippets.js";
import { ScaleChoice } from "./segments.js";

const RAW = ["Age", "Income", "Purchases"];
const READY = ["Age", "Spending_Power"];
const HINTS = { Age: "years", Income: "a year", Purchases: "a year", Spending_Power: "Income / Purchases" };
const DETAIL = { "Content-Type": "application/json", Accept: "application/json; detail=full" };

const power = (income, purchases) => income / Math.max(purchases, 1);
const rounded = (value, digits) => String(Number(value.toFixed(digits)));

export function Try({ model }) {
  const [isRaw, setRaw] = useState(true);
  const [fields, setFields] = useState({ Age: "35", Income: "60000", Purchases: "20", Spending_Power: "3000" });
  const [isLog, setLog] = useState(() => isHeavyTailed(model));
  const names = isRaw ? RAW : READY;
  const numbers = Object.fromEntries(Object.keys(fields).map((name) => [name, toNumber(fields[name])]));
  const empty = names.find((name) => numbers[name] === null);
  const payload = empty ? null : JSON.stringify(
    isRaw ? Object.fromEntries(RAW.map((name) => [name, numbers[name]])) : [[numbers.Age, numbers.Spending_Power]],
  );
  const { answer, error } = useInvocation(payload);
  const record = [numbers.Age ?? 0, isRaw ? power(numbers.Income ?? 0, numbers.Purchases ?? 0) : numbers.Spending_Power ?? 0];

  const type = (name, text) => setFields((before) => ({ ...before, [name]: text }));
  const move = (age, spending) => setFields((before) => ({
    ...before,
    Age: rounded(age, 1),
    Spending_Power: rounded(spending, 1),
    Income: isRaw ? rounded(spending * Math.max(toNumber(before.Purchases) ?? 1, 1), 0) : before.Income,
  }));
  const choose = (raw) => {
    // The record stays where it is, whatever it is written as.
    if (!raw) type("Spending_Power", rounded(record[1], 2));
    else if (power(numbers.Income ?? 0, numbers.Purchases ?? 0).toFixed(2) !== record[1].toFixed(2)) {
      type("Income", rounded(record[1] * Math.max(numbers.Purchases ?? 1, 1), 2));
    }
    setRaw(raw);
  };
  const wrong = error?.field ?? empty;
  return html`
    <p class="lead">Move the point, or type a customer. Each change is a real call to this server.</p>
    <div class="columns">
      <section class="panel" aria-labelledby="record-title">
        <div class="panel-head"><h2 id="record-title">The record</h2>
          <div class="choice" role="group" aria-label="What to type">
            <button type="button" aria-pressed=${isRaw} onClick=${() => choose(true)}>Income and Purchases</button>
            <button type="button" aria-pressed=${!isRaw} onClick=${() => choose(false)}>Spending Power</button>
          </div></div>
        <div class="fields">${names.map((name) => html`<label key=${name} class="field">
          <span>${name.replace("_", " ")} <small>${HINTS[name]}</small></span>
          <input inputmode="decimal" autocomplete="off" spellcheck=${false} value=${fields[name]}
            aria-invalid=${wrong === name ? "true" : null} aria-describedby=${wrong === name ? "record-error" : null}
            onInput=${(event) => type(name, event.currentTarget.value)} /></label>`)}
        </div>
        ${empty && html`<p id="record-error" class="problem" role="alert">${empty.replace("_", " ")} is not a number; it must be one from 0 up, such as 42 or 1250.5.</p>`}
        ${!empty && error && html`<p id="record-error" class="problem" role="alert">${error.message}.</p>`}
        <div class="panel-head"><p class="soft small" id="handle-help">Drag the ring, or move it with the arrow keys (with Shift in larger steps).</p>
          <${ScaleChoice} isLog=${isLog} onChange=${setLog} /></div>
        <${Plane} model=${model} isLog=${isLog} record=${record} onMove=${move}
          title="Map of Age (across) and Spending Power (up) with the record's place" />
      </section>
      <${Result} model=${model} answer=${empty || error ? null : answer} record=${record}
        hasNoPurchase=${isRaw && numbers.Purchases === 0} />
    </div>
    <${Snippets} payload=${payload} />`;
}

function toNumber(text) {
  const trimmed = text.trim();
  const value = Number(trimmed);
  return trimmed === "" || !Number.isFinite(value) ? null : value;
}

/** Ask for a payload, one request at a time, always ending with the newest. */
function useInvocation(payload) {
  const [state, setState] = useState({ answer: null, error: null });
  const wanted = useRef(null);
  const isBusy = useRef(false);
  useEffect(() => {
    wanted.current = payload;
    if (!payload || isBusy.current) return;
    isBusy.current = true;
    (async () => {
      let done = null;
      while (wanted.current && wanted.current !== done) {
        done = wanted.current;
        try {
          const response = await ask("invocations", { method: "POST", headers: DETAIL, body: done });
          setState({ answer: (await response.json()).predictions[0], error: null });
        } catch (error) {
          setState({ answer: null, error });
        }
      }
      isBusy.current = false;
    })();
  }, [payload]);
  return state;
}

function Result({ model, answer, record, hasNoPurchase }) {
  if (!answer) return html`<section class="panel result" aria-labelledby="result-title"><h2 id="result-title">Its segment</h2>
    <p class="soft">Nothing yet: the record must be complete first.</p></section>`;
  const segment = model.byId(answer.closest_cluster) ?? { id: answer.closest_cluster, mark: answer.closest_cluster, name: answer.segment };
  const distances = model.distances(...record).map((distance, place) => ({ distance, segment: model.segments[place] }));
  const farthest = Math.max(...distances.map((found) => found.distance), 1e-9);
  distances.sort((one, other) => one.distance - other.distance);
  return html`<section class=${`panel result ${markClass(segment.mark)}`} aria-labelledby="result-title">
    <h2 id="result-title">Its segment</h2>
    <div role="status" class="verdict">
      <p class="named"><${Mark} id=${segment.mark} size=${28} /><span>${segment.name}</span></p>
      <p class="soft">segment ${segment.id}, with confidence <strong data-testid="confidence">${percent(answer.confidence, 0)}</strong></p>
    </div>
    <div class="meter" role="meter" aria-label="Confidence, from 50 % on a border to 100 % on the centroid"
      aria-valuemin="50" aria-valuemax="100" aria-valuenow=${Math.round(answer.confidence * 100)}>
      <span style=${{ width: `${(answer.confidence - 0.5) * 200}%` }}></span></div>
    <ul class="flags">
      <li class=${answer.border ? "on" : ""}><strong>${answer.border ? "On a border" : "Not on a border"}</strong>
        <span>${answer.border ? `${answer.second?.segment ?? "The second"} is nearly as close.` : "Its segment is clearly the closest."}</span></li>
      <li class=${answer.outlier ? "on" : ""}><strong>${answer.outlier ? "Outlier" : "Not an outlier"}</strong>
        <span>${answer.outlier ? "Farther from the centroid than 99 % of the segment's customers." : "As close to the centroid as its customers are."}</span></li>
      ${hasNoPurchase && html`<li class="on"><strong>No purchase</strong><span>Counted as one, so that Spending Power is finite.</span></li>`}
    </ul>
    <h3>Distances</h3>
    <table class="bars"><thead class="hidden"><tr><th scope="col">Segment</th><th scope="col">Bar</th><th scope="col">Distance</th></tr></thead>
      <tbody>${distances.map(({ distance, segment: other }) => html`<tr key=${other.id} class=${markClass(other.mark)}>
      <th scope="row"><${Mark} id=${other.mark} /> ${other.name}</th>
      <td aria-hidden="true"><span class="bar-fill" style=${{ width: `${(distance / farthest) * 100}%` }}></span></td>
      <td class="number" data-testid="distance">${fixed(other.id === answer.closest_cluster ? answer.distance_to_cluster : distance, 3)}</td></tr>`)}</tbody></table>
    <p class="soft small">In standard deviations, at Age ${amount("Age", record[0])} and Spending Power ${amount("Spending_Power", record[1])}.</p>
  </section>`;
}
