// Read /live: {total, window, series, interval_s, drift: {psi}}, or flat with minutes and drift by feature.

/** Return {requests, errors, latency: [{name, ms}], records, points, step_s, drift}; null of what is not known. */
export function readLive(document) {
  const total = document.total ?? document;
  const latency = document.latency_ms ?? {};
  const series = document.series ?? document.minutes ?? [];
  return {
    requests: total.requests ?? 0,
    errors: total.errors ?? 0,
    latency: ["p50", "p90", "p95", "p99"]
      .map((name) => ({ name, ms: total[`${name}_ms`] ?? latency[name] }))
      .filter(({ name, ms }) => ms !== undefined || name === "p50" || name === "p99"),
    records: total.records_by_segment ?? total.records ?? {},
    points: series.map((point) => ({ ...point, time: momentOf(point), records: sum(point.records) })),
    step_s: document.series ? document.interval_s ?? null : 60,
    drift: document.drift?.psi ?? document.drift ?? null,
  };
}

const sum = (records) => (typeof records === "object" && records ? Object.values(records).reduce((all, n) => all + n, 0) : records ?? 0);

/** Seconds since 1970 in `time`; minutes since then, seconds or ISO text in `minute`. */
function momentOf({ time, minute }) {
  if (time !== undefined) return new Date(time * 1000);
  return new Date(typeof minute === "number" ? minute * (minute < 1e9 ? 60_000 : 1000) : minute);
}
