// Read, judge and score a file aside from the page, so that the page never freezes.
import { decode, formatRow, records, sniff } from "./csv.js";
import { findColumns, fold, judge, missingOf } from "./customers.js";

const CHUNK = 4000;
const MAX_SHOWN_REJECTS = 200;
const HEADERS = { "Content-Type": "application/json", Accept: "application/json; detail=full" };
const SCORE_COLUMNS = [
  "segment", "segment_name", "confidence", "outlier", "border", "previous_segment", "changed", "model_version", "note",
];
const IMPUTED = "Income taken as the median of the training data";
const NO_PURCHASE = "no purchase, counted as one";
const OUTLIER = 1;
const BORDER = 2;

let table = null;
let judged = null;
let scored = null;
let stop = null;

const COMMANDS = { open, inspect, score, page, download, rejects, cancel: () => stop?.abort() };

addEventListener("message", async ({ data: { id, command, options } }) => {
  try {
    postMessage({ id, value: await COMMANDS[command](options) });
  } catch (error) {
    postMessage({ id, error: error.name === "AbortError" ? "stopped" : error.message });
  }
});

const report = (stage, done, total) => postMessage({ stage, done, total });

/** Read the file into rows; those with too many or too few fields are set aside. */
async function open({ file }) {
  table = judged = scored = null;
  const { text, encoding } = decode(await file.arrayBuffer());
  if (!text.trim()) throw new Error("the file is empty");
  if (text.startsWith("PK\u0003\u0004")) throw new Error("the file is a zip archive or an Excel workbook; save it as CSV first");
  if (text.slice(0, 4096).includes("\u0000")) throw new Error("the file is not text; save it as CSV first");
  const delimiter = sniff(text);
  const found = { name: file.name, encoding, delimiter, header: null, rows: [], lines: [], ragged: [], blank: 0, prefix: "" };
  for (const { line, fields } of records(text, delimiter)) {
    if (fields.every((field) => !field.trim())) {
      found.blank += 1;
    } else if (!found.header) {
      found.header = fields.map((field) => field.replace(/^\ufeff/, ""));
    } else if (fields.length !== found.header.length) {
      found.ragged.push({ line, column: "", fields, reason: `has ${fields.length} fields, the header has ${found.header.length}` });
    } else {
      found.rows.push(fields);
      found.lines.push(line);
    }
    if (found.lines.length % 20000 === 0) report("Reading", found.lines.length, 0);
  }
  if (!found.rows.length) throw new Error("the file has a header but no records");
  const taken = new Set(found.header.map(fold));
  while (SCORE_COLUMNS.some((name) => taken.has(fold(found.prefix + name)))) found.prefix += "new_";
  table = found;
  return {
    name: file.name, encoding, delimiter, prefix: found.prefix, header: found.header, records: found.rows.length + found.ragged.length, ...findColumns(found.header),
  };
}

/** Judge every row; return the data report. */
function inspect({ columns, decimal, incomeMedian }) {
  const n = table.rows.length;
  judged = { ages: new Float64Array(n), powers: new Float64Array(n), usable: [], notes: new Array(n).fill(""), rejects: [...table.ragged] };
  scored = null;
  const missing = missingOf(columns);
  if (missing.length) throw new Error(`no column for ${missing.join(" and ")} is chosen`);
  const rules = { header: table.header, columns, decimal, incomeMedian };
  const counts = { imputed: 0, noPurchase: 0 };
  for (let row = 0; row < n; row++) {
    const verdict = judge(table.rows[row], rules);
    if (verdict.reason) {
      judged.notes[row] = verdict.reason;
      judged.rejects.push({ line: table.lines[row], column: verdict.column, reason: verdict.reason, fields: table.rows[row] });
      continue;
    }
    judged.ages[row] = verdict.age;
    judged.powers[row] = verdict.power;
    judged.usable.push(row);
    counts.imputed += verdict.isImputed;
    counts.noPurchase += verdict.hasNoPurchase;
    judged.notes[row] = [verdict.isImputed && IMPUTED, verdict.hasNoPurchase && NO_PURCHASE].filter(Boolean).join("; ");
  }
  judged.rejects.sort((one, other) => one.line - other.line);
  return {
    records: n + table.ragged.length, usable: judged.usable.length, blank: table.blank, ...counts, rejected: judged.rejects.length,
    rejects: judged.rejects.slice(0, MAX_SHOWN_REJECTS).map(({ line, column, reason }) => ({ line, column, reason })),
  };
}

/** Send the usable records in parts; return how many went to each segment. */
async function score({ url, maxBytes, names, version }) {
  stop = new AbortController();
  const n = table.rows.length;
  scored = { ids: new Int32Array(n).fill(-1), confidences: new Float64Array(n), flags: new Uint8Array(n), names, version };
  const { usable } = judged;
  const sizes = {};
  let outliers = 0;
  let borders = 0;
  try {
    for (let from = 0; from < usable.length; ) {
      const { body, to } = pack(usable, from, maxBytes);
      const predictions = await send(url, body);
      for (let place = from; place < to; place++) {
        const row = usable[place];
        const found = predictions[place - from];
        scored.ids[row] = found.closest_cluster;
        scored.confidences[row] = found.confidence;
        scored.flags[row] = (found.outlier ? OUTLIER : 0) | (found.border ? BORDER : 0);
        sizes[found.closest_cluster] = (sizes[found.closest_cluster] ?? 0) + 1;
        outliers += found.outlier;
        borders += found.border;
      }
      from = to;
      report("Scoring", from, usable.length);
    }
  } catch (error) {
    scored = null;
    throw error;
  }
  return { sizes, outliers, borders };
}

/** Return as many records as a request may hold, from a place on. */
function pack(usable, from, maxBytes) {
  for (let size = CHUNK; ; size = Math.ceil(size / 2)) {
    const to = Math.min(usable.length, from + size);
    const body = JSON.stringify(usable.slice(from, to).map((row) => [judged.ages[row], judged.powers[row]]));
    if (!maxBytes || body.length <= maxBytes || size === 1) return { body, to };
  }
}

async function send(url, body) {
  const response = await fetch(url, { method: "POST", headers: HEADERS, body, signal: stop.signal }).catch((cause) => {
    throw cause.name === "AbortError" ? cause : new Error("the server cannot be reached; is it still running?");
  });
  const document = await response.json().catch((cause) => {
    if (cause.name === "AbortError") throw cause;
    return null;
  });
  if (!response.ok) throw new Error(document?.error?.message ?? `the server answered ${response.status}`);
  if (response.headers.get("X-Segserve-Model-Version") !== scored.version) {
    throw new Error("the server has changed its model meanwhile; load the page again");
  }
  return document.predictions;
}

/** Return some rows for the table; `filter` is "all", "outlier", "border", "rejected" or a segment's id. */
function page({ filter, number, size }) {
  const rows = [];
  let total = 0;
  for (let row = 0; row < table.rows.length; row++) {
    const id = scored.ids[row];
    const isWanted = filter === "all" || (filter === "rejected" ? id < 0 : filter === "outlier" ? scored.flags[row] & OUTLIER
      : filter === "border" ? scored.flags[row] & BORDER : id === Number(filter));
    if (!isWanted) continue;
    if (total >= number * size && rows.length < size) {
      rows.push({
        line: table.lines[row], fields: table.rows[row], id, confidence: scored.confidences[row],
        isOutlier: Boolean(scored.flags[row] & OUTLIER), isBorder: Boolean(scored.flags[row] & BORDER), note: judged.notes[row],
      });
    }
    total += 1;
  }
  return { rows, total };
}

/** Return the file as `segserve score` writes it: the same columns in the same order, and nine more.
 *  What the segment was before is known to the command alone, which has the previous version. */
function download() {
  const { delimiter } = table;
  const parts = [formatRow([...table.header, ...SCORE_COLUMNS.map((name) => table.prefix + name)], delimiter)];
  for (let row = 0; row < table.rows.length; row++) {
    const id = scored.ids[row];
    const confidence = String(Math.round(scored.confidences[row] * 1e4) / 1e4);
    const found = id < 0 ? ["", "", "", "", "", "", "", ""] : [
      id, scored.names[id] ?? "", confidence.includes(".") ? confidence : `${confidence}.0`,
      String(Boolean(scored.flags[row] & OUTLIER)), String(Boolean(scored.flags[row] & BORDER)), "", "", scored.version,
    ];
    parts.push(formatRow([...table.rows[row], ...found, judged.notes[row]], delimiter));
  }
  return new Blob(parts, { type: "text/csv" });
}

function rejects() {
  const { delimiter } = table;
  const parts = [formatRow(["line", "column", "reason", ...table.header], delimiter)];
  for (const { line, column, reason, fields } of judged.rejects) parts.push(formatRow([line, column, reason, ...fields], delimiter));
  return new Blob(parts, { type: "text/csv" });
}
