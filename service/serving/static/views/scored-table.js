// The scored records, a page at a time.
import { html, useEffect, useState } from "../dom.js";
import { count, percent, plural } from "../format.js";
import { Mark, markClass } from "../marks.js";

const SIZE = 50;

export function ScoredTable({ result, model, file, clerk }) {
  const [filter, setFilter] = useState("all");
  const [number, setNumber] = useState(0);
  const [shown, setShown] = useState(null);
  useEffect(() => {
    let isWanted = true;
    clerk.ask("page", { filter, number, size: SIZE }).then((found) => isWanted && setShown(found));
    return () => {
      isWanted = false;
    };
  }, [clerk, filter, number, result]);
  const choose = (event) => {
    setFilter(event.currentTarget.value);
    setNumber(0);
  };
  const last = shown ? Math.max(0, Math.ceil(shown.total / SIZE) - 1) : 0;
  return html`<div class="panel-head pager">
      <label class="field inline"><span>Show</span><select value=${filter} onChange=${choose}>
        <option value="all">all records</option>
        ${model.segments.map((segment) => html`<option key=${segment.id} value=${segment.id}>${segment.name}</option>`)}
        <option value="outlier">outliers</option><option value="border">on a border</option><option value="rejected">rejected</option></select></label>
      ${shown && html`<div class="choices"><span class="soft" role="status">${shown.total ? `${count(number * SIZE + 1)} to ${count(Math.min(shown.total, (number + 1) * SIZE))} of ${count(shown.total)}` : "none"}</span>
        <button type="button" class="button" disabled=${number === 0} onClick=${() => setNumber(number - 1)}>Previous</button>
        <button type="button" class="button" disabled=${number >= last} onClick=${() => setNumber(number + 1)}>Next</button></div>`}
    </div>
    ${shown && html`<div class="scroll tall" tabindex="0" role="region" aria-label=${`Scored records, ${plural(shown.total, "record")}`}><table class="grid scored">
      <thead><tr><th scope="col">Segment</th><th scope="col" class="number">Confidence</th><th scope="col">Flags</th>
        <th scope="col" class="number">Line</th>${file.header.map((name, place) => html`<th scope="col" key=${place}>${name}</th>`)}</tr></thead>
      <tbody>${shown.rows.map((row) => html`<${Row} key=${row.line} row=${row} model=${model} />`)}</tbody></table></div>`}`;
}

function Row({ row, model }) {
  const segment = model.byId(row.id);
  const flags = [row.isOutlier && "outlier", row.isBorder && "border", row.note].filter(Boolean);
  return html`<tr class=${segment ? markClass(segment.mark) : "rejected"}>
    <th scope="row">${segment ? html`<${Mark} id=${segment.mark} /> ${segment.name}` : "rejected"}</th>
    <td class="number">${segment ? percent(row.confidence, 0) : ""}</td><td>${flags.join(", ")}</td><td class="number">${count(row.line)}</td>
    ${row.fields.map((field, place) => html`<td key=${place}>${field}</td>`)}</tr>`;
}
