// A file of customers: what is in it, what the server says of each, the file with its segments.
import { Notice, html, useEffect, useMemo, useRef, useState } from "../dom.js";
import { bytes, count, percent, plural } from "../format.js";
import { NEEDED, missingOf } from "../customers.js";
import { Mark, markClass } from "../marks.js";
import { ScoredTable } from "./scored-table.js";

const MAX_BYTES = 50 * 2 ** 20;
const DELIMITERS = { ",": "comma", ";": "semicolon", "\t": "tab", "|": "bar" };

/** A worker that is asked and answers, and tells of its progress. */
class Clerk {
  constructor(onProgress) {
    this.worker = new Worker("console/static/score-worker.js", { type: "module" });
    this.waiting = new Map();
    this.next = 0;
    this.worker.onmessage = ({ data }) => {
      if (data.id === undefined) return onProgress(data);
      const { resolve, reject } = this.waiting.get(data.id);
      this.waiting.delete(data.id);
      return data.error === undefined ? resolve(data.value) : reject(new Error(data.error));
    };
    this.worker.onerror = () => {
      for (const { reject } of this.waiting.values()) reject(new Error("the file could not be worked on: the browser ran out of memory, or stopped the work"));
      this.waiting.clear();
    };
  }

  ask(command, options) {
    return new Promise((resolve, reject) => {
      this.waiting.set(this.next, { resolve, reject });
      this.worker.postMessage({ id: this.next++, command, options });
    });
  }

  stop() {
    this.worker.terminate();
  }
}

export function Score({ model, server }) {
  const [file, setFile] = useState(null);
  const [report, setReport] = useState(null);
  const [result, setResult] = useState(null);
  const [progress, setProgress] = useState(null);
  const [problem, setProblem] = useState("");
  const [options, setOptions] = useState({ columns: {}, decimal: "." });
  const clerk = useMemo(() => new Clerk(setProgress), []);
  useEffect(() => () => clerk.stop(), [clerk]);

  const attempt = async (work) => {
    setProblem("");
    try {
      await work();
    } catch (error) {
      if (error.message !== "stopped") setProblem(error.message);
    }
    setProgress(null);
  };
  const inspect = async (opened, chosen) => {
    setOptions(chosen);
    setReport(null);
    setResult(null);
    if (!missingOf(chosen.columns).length) setReport(await clerk.ask("inspect", { ...chosen, incomeMedian: model.card.income_median }));
  };
  const open = (chosen) => attempt(async () => {
    setFile(null);
    setReport(null);
    setResult(null);
    if (chosen.size > MAX_BYTES) {
      throw new Error(`${chosen.name} has ${bytes(chosen.size)}; up to ${bytes(MAX_BYTES)} are read here. Nothing was sent. For larger files: segserve score ${chosen.name} -o scored.csv`);
    }
    setProgress({ stage: "Reading", done: 0, total: 0 });
    const opened = await clerk.ask("open", { file: chosen });
    setFile({ ...opened, size: chosen.size });
    await inspect(opened, { columns: opened.columns, decimal: "." });
  });
  const change = (chosen) => attempt(() => inspect(file, chosen));
  const score = () => attempt(async () => {
    setProgress({ stage: "Scoring", done: 0, total: report.usable });
    const names = Object.fromEntries(model.segments.map((segment) => [segment.id, segment.name]));
    const url = new URL("invocations", location.href).href;
    setResult(await clerk.ask("score", { url, maxBytes: server.max_payload_bytes, names, version: model.version }));
  });
  return html`
    <p class="lead">A CSV with Age, Income and Purchases gets a segment for each customer. It is read in your browser; only the
      two numbers that the model needs are sent, to this server and to nobody else.</p>
    <${Drop} onFile=${open} limit=${server.max_payload_bytes} isBusy=${progress !== null} />
    ${problem && html`<${Notice} kind="bad" title="That did not work">${problem}.<//>`}
    ${progress && html`<${Progress} ...${progress} onStop=${progress.stage === "Scoring" ? () => clerk.ask("cancel") : null} />`}
    ${file && html`<${Report} file=${file} report=${report} options=${options} onChange=${change} clerk=${clerk} isBusy=${progress !== null} />`}
    ${report && !result && html`<div class="actions"><button type="button" class="button primary" disabled=${progress !== null || !report.usable}
      onClick=${score}>${report.usable ? `Score ${plural(report.usable, "record")}` : "No record can be scored"}</button></div>`}
    ${result && html`<${Result} result=${result} report=${report} model=${model} file=${file} clerk=${clerk} />`}`;
}

function Drop({ onFile, limit, isBusy }) {
  const [isOver, setOver] = useState(false);
  const take = (files) => files?.[0] && !isBusy && onFile(files[0]);
  const over = (event) => {
    event.preventDefault();
    setOver(event.type === "dragover");
  };
  const drop = (event) => {
    over(event);
    take(event.dataTransfer.files);
  };
  return html`<div class=${`drop ${isOver ? "over" : ""}`} onDragOver=${over} onDragLeave=${over} onDrop=${drop}>
    <label class="button primary file">Choose a CSV file
      <input type="file" accept=".csv,.tsv,.txt,text/csv" disabled=${isBusy} aria-describedby="drop-help" onChange=${(event) => {
        take(event.currentTarget.files);
        event.currentTarget.value = "";
      }} /></label>
    <p>or drop it here</p>
    <p class="soft small" id="drop-help">Up to ${bytes(MAX_BYTES)}. It is sent in parts${limit ? `, each below the ${bytes(limit)} that this server takes` : ""}.</p>
  </div>`;
}

function Progress({ stage, done, total, onStop }) {
  return html`<div class="progress"><label>${stage}${total ? ` ${count(done)} of ${count(total)}` : done ? ` ${count(done)} records` : "…"}
    <progress value=${total ? done : null} max=${total || null}></progress></label>
    ${onStop && html`<button type="button" class="button" onClick=${onStop}>Stop</button>`}</div>`;
}

function Report({ file, report, options, onChange, clerk, isBusy }) {
  const missing = missingOf(options.columns);
  const choose = (name, place) => {
    const columns = { ...options.columns };
    if (place === "") delete columns[name];
    else columns[name] = Number(place);
    onChange({ ...options, columns });
  };
  return html`<section class="panel" aria-labelledby="report-title"><h2 id="report-title">What is in ${file.name}</h2>
    <p class="soft">${bytes(file.size)}, ${file.encoding}, fields separated by ${DELIMITERS[file.delimiter]}, ${plural(file.header.length, "column")}.${file.prefix && ` A column of the same name is there already, so the new ones begin with ${file.prefix}.`}</p>
    ${missing.length > 0 && html`<${Notice} kind="warn" title=${`No column ${missing.join(", ")}`}>Say below which columns to take.<//>`}
    <div class="fields">${NEEDED.map((name) => html`<label class="field" key=${name}><span>${name}</span>
        <select value=${options.columns[name] ?? ""} disabled=${isBusy} onChange=${(event) => choose(name, event.currentTarget.value)}>
          <option value="">none</option>${file.header.map((column, place) => html`<option value=${place} key=${place}>${column || `column ${place + 1}`}</option>`)}</select></label>`)}
      <label class="field"><span>Decimal mark</span><select value=${options.decimal} disabled=${isBusy}
        onChange=${(event) => onChange({ ...options, decimal: event.currentTarget.value })}><option value=".">point: 1,250.50</option><option value=",">comma: 1.250,50</option></select></label></div>
    ${report && html`<dl class="tiles">
      <div class="tile"><dt>Records</dt><dd>${count(report.records)}</dd></div>
      <div class="tile"><dt>Can be scored</dt><dd>${count(report.usable)} <small>${percent(report.usable / report.records)}</small></dd></div>
      <div class=${`tile ${report.rejected ? "bad" : ""}`}><dt>Rejected</dt><dd>${count(report.rejected)}</dd></div>
      <div class="tile"><dt>Without a purchase</dt><dd>${count(report.noPurchase)} <small>counted as one</small></dd></div>
      <div class="tile"><dt>Without an income</dt><dd>${count(report.imputed)} <small>median taken</small></dd></div>
      ${report.blank > 0 && html`<div class="tile"><dt>Blank rows</dt><dd>${count(report.blank)} <small>skipped</small></dd></div>`}
    </dl>`}
    ${report?.rejected > 0 && html`<details open=${report.rejected <= 10}><summary>${plural(report.rejected, "reject")}</summary>
      <div class="scroll" tabindex="0" role="region" aria-label="Rejects"><table class="grid"><thead><tr><th scope="col" class="number">Line</th><th scope="col">Column</th><th scope="col">Reason</th></tr></thead>
        <tbody>${report.rejects.map((reject) => html`<tr key=${reject.line}><td class="number">${count(reject.line)}</td><td>${reject.column || "none"}</td><td>${reject.reason}</td></tr>`)}</tbody></table></div>
      ${report.rejected > report.rejects.length && html`<p class="soft">The first ${report.rejects.length} are shown; the file has them all.</p>`}
      <${Download} clerk=${clerk} command="rejects" name="rejects.csv" title="Download the rejects" /></details>`}
  </section>`;
}

function Download({ clerk, command, name, title, isPrimary }) {
  const [isBusy, setBusy] = useState(false);
  const link = useRef(null);
  const take = async () => {
    setBusy(true);
    const blob = await clerk.ask(command);
    const url = URL.createObjectURL(blob);
    Object.assign(link.current, { href: url, download: name });
    link.current.click();
    setTimeout(() => URL.revokeObjectURL(url), 60_000);
    setBusy(false);
  };
  return html`<button type="button" class=${`button ${isPrimary ? "primary" : ""}`} disabled=${isBusy} onClick=${take}>${title}</button><a ref=${link} hidden></a>`;
}

function Result({ result, report, model, file, clerk }) {
  const name = `${file.name.replace(/\.[^.]*$/, "")}-scored.csv`;
  return html`<section class="panel" aria-labelledby="scored-title">
    <div class="panel-head"><h2 id="scored-title">Scored</h2><${Download} clerk=${clerk} command="download" name=${name} title="Download the scored file" isPrimary=${true} /></div>
    <p role="status">${plural(report.usable, "record")} scored; ${plural(result.outliers, "outlier")}, ${count(result.borders)} on a border.</p>
    <table class="bars"><thead class="hidden"><tr><th scope="col">Segment</th><th scope="col">Bar</th><th scope="col">Records</th></tr></thead>
    <tbody>${model.segments.map((segment) => html`<tr key=${segment.id} class=${markClass(segment.mark)}><th scope="row"><${Mark} id=${segment.mark} /> ${segment.name}</th>
      <td aria-hidden="true"><span class="bar-fill" style=${{ width: `${((result.sizes[segment.id] ?? 0) / report.usable) * 100}%` }}></span></td>
      <td class="number">${count(result.sizes[segment.id] ?? 0)}</td></tr>`)}</tbody></table>
    <${ScoredTable} key=${result} result=${result} model=${model} file=${file} clerk=${clerk} />
  </section>`;
}
