// What the server has answered of late.
import { Loading, Notice, html, useEffect, useState } from "../dom.js";
import { askJson } from "../api.js";
import { count, fixed, percent, plural } from "../format.js";
import { readLive } from "../live-figures.js";
import { Mark, markClass } from "../marks.js";

const PERIOD_MS = 2000;
const WITHIN = { p50: "Half answered within", p90: "9 of 10 within", p95: "19 of 20 within", p99: "99 of 100 within" };

/** Ask /live again and again while the page is looked at; `live` stays the last that was heard. */
export function useLive() {
  const [state, setState] = useState({ live: null, error: null });
  useEffect(() => {
    const stop = new AbortController();
    let timer = 0;
    const look = async () => {
      if (!document.hidden) {
        try {
          const live = readLive(await askJson("live", { signal: stop.signal }));
          setState({ live, error: null });
        } catch (error) {
          if (error.name === "AbortError") return;
          setState((before) => ({ ...before, error }));
          if (error.status === 404) return;
        }
      }
      timer = setTimeout(look, PERIOD_MS);
    };
    look();
    return () => {
      stop.abort();
      clearTimeout(timer);
    };
  }, []);
  return state;
}

export function Live({ model }) {
  const { live, error } = useLive();
  if (error?.status === 404) return html`<${Notice} title="No live figures">This server does not keep them: it
    has no route <code>/live</code>. Nothing is wrong with its answers.<//>`;
  if (!live) return error ? html`<${Notice} kind="bad" title="The figures cannot be read">${error.message}.<//>` : html`<${Loading} what="the figures" />`;
  const rate = live.requests ? live.errors / live.requests : 0;
  return html`
    <p class="lead">Since this server started. Looks again every ${PERIOD_MS / 1000} seconds.</p>
    ${error && html`<${Notice} kind="bad" title="Out of date">${error.message}. These figures are the last that were heard.<//>`}
    <dl class="tiles">
      <${Tile} name="Requests" value=${count(live.requests)} />
      <${Tile} name="Errors" value=${count(live.errors)} note=${live.requests ? percent(rate, rate < 0.01 ? 2 : 1) : "none yet"} kind=${live.errors ? "bad" : ""} />
      ${live.latency.map(({ name, ms }) => html`<${Tile} key=${name} name=${WITHIN[name]} value=${milliseconds(ms)} note=${name} />`)}
    </dl>
    ${live.requests === 0 && html`<${Notice} title="No request yet">Send one from <a href="#/try">Try it</a>, or with curl.<//>`}
    <div class="halves">
      <${Minutes} points=${live.points} step=${live.step_s} />
      <${BySegment} model=${model} records=${live.records} />
    </div>`;
}

const milliseconds = (value) => (Number.isFinite(value) ? `${fixed(value, value < 10 ? 2 : 0)} ms` : "–");

function Tile({ name, value, note, kind = "" }) {
  return html`<div class=${`tile ${kind}`}><dt>${name}</dt><dd>${value}${note && html` <small>${note}</small>`}</dd></div>`;
}

/** Requests of the last minutes as bars, errors in them, and the latency over them. */
function Minutes({ points, step }) {
  const shown = points.slice(-60);
  const unit = step === 60 ? "a minute" : step ? `in ${fixed(step, 0)} seconds` : "at a time";
  const most = Math.max(1, ...shown.map((minute) => minute.requests));
  const slowest = Math.max(1e-9, ...shown.map((minute) => minute.p99_ms ?? 0));
  const at = (place) => ((place + 0.5) / shown.length) * 600;
  const line = (key) => shown.map((minute, place) => `${at(place).toFixed(1)},${(100 - ((minute[key] ?? 0) / slowest) * 92).toFixed(1)}`).join(" ");
  return html`<section class="panel" aria-labelledby="minutes-title"><h2 id="minutes-title">The last minutes</h2>
    ${shown.length === 0 ? html`<p class="soft">Nothing in the last minutes.</p>` : html`
      <p class="soft">Requests ${unit}, at most ${count(most)}; errors are the red part.</p>
      <svg class="chart" viewBox="0 0 600 120" preserveAspectRatio="none" aria-hidden="true">
        ${shown.map((minute, place) => {
          const height = (minute.requests / most) * 112;
          const bad = (minute.errors / most) * 112;
          const width = Math.min(40, (600 / shown.length) * 0.72);
          return html`<g key=${place}><rect class="requests" x=${at(place) - width / 2} y=${120 - height} width=${width} height=${height} />
            ${minute.errors > 0 && html`<rect class="errors" x=${at(place) - width / 2} y=${120 - bad} width=${width} height=${bad} />`}</g>`;
        })}
      </svg>
      <p class="soft">Latency, at most ${milliseconds(slowest)}: <span class="key p50">p50</span> <span class="key p99">p99</span></p>
      <svg class="chart" viewBox="0 0 600 104" preserveAspectRatio="none" aria-hidden="true">
        <polyline class="p99" points=${line("p99_ms")} /><polyline class="p50" points=${line("p50_ms")} />
      </svg>
      <details><summary>As a table</summary><div class="scroll" tabindex="0" role="region" aria-label="The last minutes"><table class="grid">
        <thead><tr><th scope="col">Time</th><th scope="col" class="number">Requests</th><th scope="col" class="number">Errors</th>
          <th scope="col" class="number">Records</th><th scope="col" class="number">p50</th><th scope="col" class="number">p99</th></tr></thead>
        <tbody>${shown.toReversed().map((minute) => html`<tr key=${minute.time}><th scope="row">${clock(minute.time)}</th>
          <td class="number">${count(minute.requests)}</td><td class="number">${count(minute.errors)}</td><td class="number">${count(minute.records)}</td>
          <td class="number">${milliseconds(minute.p50_ms)}</td><td class="number">${milliseconds(minute.p99_ms)}</td></tr>`)}</tbody></table></div></details>`}
  </section>`;
}

const clock = (time) => (Number.isNaN(time.getTime()) ? "unknown" : time.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit" }));

function BySegment({ model, records }) {
  const total = Object.values(records).reduce((sum, n) => sum + n, 0);
  const share = (segment) => (records[segment.id] ?? 0) / (total || 1);
  return html`<section class="panel" aria-labelledby="by-segment-title"><h2 id="by-segment-title">Records by segment</h2>
    <p class="soft">${plural(total, "record")}; the line is the segment's share of the training data.</p>
    <table class="bars"><thead class="hidden"><tr><th scope="col">Segment</th><th scope="col">Bar</th><th scope="col">Records</th></tr></thead>
    <tbody>${model.segments.map((segment) => html`<tr key=${segment.id} class=${markClass(segment.mark)}>
      <th scope="row"><${Mark} id=${segment.mark} /> ${segment.name}</th>
      <td aria-hidden="true"><span class="bar-fill" style=${{ width: `${share(segment) * 100}%` }}></span>
        <span class="bar-mark" style=${{ left: `${segment.share * 100}%` }}></span></td>
      <td class="number">${count(records[segment.id] ?? 0)}</td></tr>`)}</tbody></table>
  </section>`;
}
