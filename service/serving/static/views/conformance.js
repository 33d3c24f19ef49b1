// Run the contract checks against this server.
import { Notice, html, useRef, useState } from "../dom.js";
import { ask } from "../api.js";
import { Choice } from "./snippets.js";

const TITLES = { pass: "Passed", fail: "Failed", warn: "Warned", skip: "Skipped" };

export function Conformance() {
  const [run, setRun] = useState(null);
  const [shown, setShown] = useState("all");
  const stop = useRef(null);
  const start = async () => {
    stop.current = new AbortController();
    const verdicts = [];
    setShown("all");
    setRun({ state: "running", verdicts });
    try {
      const response = await ask("console/conformance", { method: "POST", signal: stop.current.signal });
      let end = null;
      for await (const line of linesOf(response.body)) {
        const document = JSON.parse(line);
        if (document.state) end = document;
        else verdicts.push({ ...document, verdict: plain(document.verdict) });
        setRun({ state: "running", verdicts: [...verdicts] });
      }
      setRun({ state: end?.state ?? "failed", sentence: end?.sentence ?? "the server ended the run early", verdicts });
    } catch (error) {
      setRun({ state: error.name === "AbortError" ? "stopped" : "failed", sentence: error.message, verdicts });
    }
  };
  const isRunning = run?.state === "running";
  return html`
    <p class="lead">SageMaker asks more of a container than an answer. These checks call this very server as SageMaker would,
      and say for each clause of the contract whether it holds.</p>
    <div class="actions">
      <button type="button" class="button primary" disabled=${isRunning} onClick=${start}>${isRunning ? "Running…" : run ? "Run again" : "Run the checks"}</button>
      ${isRunning && html`<button type="button" class="button" onClick=${() => stop.current.abort()}>Stop</button>`}
    </div>
    <div role="status"><${State} run=${run} /></div>
    ${run?.verdicts.length > 0 && html`<${Verdicts} verdicts=${run.verdicts} shown=${shown} onShow=${setShown} />`}`;
}

const plain = (verdict) => ({ passed: "pass", failed: "fail", skipped: "skip" })[String(verdict).toLowerCase()] ?? String(verdict).toLowerCase();

function State({ run }) {
  if (!run) return html`<p class="soft">Nothing has been run yet. It takes some seconds; requests of others are answered meanwhile.</p>`;
  const failed = run.verdicts.filter((found) => found.verdict === "fail").length;
  switch (run.state) {
    case "running":
      return html`<p class="soft">${run.verdicts.length ? `${run.verdicts.length} clauses so far…` : "Asking the server…"}</p>`;
    case "done":
      return failed
        ? html`<${Notice} kind="bad" title=${`${failed} of ${run.verdicts.length} clauses do not hold`}>They stand first in the table.<//>`
        : html`<${Notice} kind="good" title="No clause is broken">${run.verdicts.length} clauses were looked at.<//>`;
    case "unavailable":
      return html`<${Notice} kind="warn" title="The checks are not installed">${run.sentence}. A newer segserve brings them.<//>`;
    case "stopped":
      return html`<${Notice} title="Stopped">${run.verdicts.length} clauses had been looked at.<//>`;
    default:
      return html`<${Notice} kind="bad" title="The checks did not come to an end">${run.sentence}.<//>`;
  }
}

const RANK = { fail: 0, warn: 1, pass: 2, skip: 3 };

function Verdicts({ verdicts, shown, onShow }) {
  const tally = (kind) => verdicts.filter((found) => found.verdict === kind).length;
  const options = { all: `All ${verdicts.length}` };
  for (const kind of Object.keys(TITLES)) if (tally(kind)) options[kind] = `${TITLES[kind]} ${tally(kind)}`;
  const rows = verdicts
    .filter((found) => shown === "all" || found.verdict === shown)
    .toSorted((one, other) => (RANK[one.verdict] ?? 1) - (RANK[other.verdict] ?? 1));
  return html`<${Choice} label="Which clauses" value=${shown} onChange=${onShow} options=${options} />
    <div class="scroll" tabindex="0" role="region" aria-label="Verdicts"><table class="grid verdicts">
      <thead><tr><th scope="col">Clause</th><th scope="col">Verdict</th><th scope="col">What it asks</th></tr></thead>
      <tbody>${rows.map((found, place) => html`<tr key=${`${found.clause} ${place}`} class=${found.verdict}>
        <th scope="row">${found.clause}</th><td><span class=${`badge ${found.verdict}`}>${TITLES[found.verdict] ?? found.verdict}</span></td>
        <td>${found.sentence}${found.detail && html`<div class="soft small">${found.detail}</div>`}</td></tr>`)}</tbody>
    </table></div>`;
}

async function* linesOf(stream) {
  const reader = stream.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) break;
    const lines = (rest + value).split("\n");
    rest = lines.pop();
    for (const line of lines) if (line.trim()) yield line;
  }
  if (rest.trim()) yield rest;
}
