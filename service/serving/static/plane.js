// The plane of Age and Spending Power: who is assigned where, the training sample, the centroids, one record.
import { html, useEffect, useLayoutEffect, useMemo, useRef, useState } from "./dom.js";
import { amount, brief } from "./format.js";
import { markPath, readColours } from "./marks.js";

const MARGIN = { top: 14, right: 14, bottom: 42, left: 58 };
const CELL = 3;

/** Return the range of both axes: of the sample where there is one, else around the centroids. */
export function findExtent(model) {
  const sample = model.sample;
  if (sample) {
    const pad = 0.04;
    const [low, high] = range(sample.Age);
    const top = range(sample.Spending_Power)[1];
    const floor = range(sample.Spending_Power)[0];
    return { age: [low - pad * (high - low), high + pad * (high - low)], power: [floor, top * 1.05] };
  }
  const corners = model.centroids.flatMap(([x, y]) => [model.unscaled([x - 1.4, y - 1]), model.unscaled([x + 1.4, y + 1.4])]);
  const ages = range(corners.map(([age]) => age));
  const powers = range(corners.map(([, power]) => power));
  return { age: [Math.max(0, ages[0]), ages[1]], power: [Math.max(0, powers[0]), powers[1]] };
}

/** Tell whether few records would leave the rest in a thin line at the bottom. */
export function isHeavyTailed(model) {
  if (model.sample) {
    const sorted = Float64Array.from(model.sample.Spending_Power).sort();
    return sorted[sorted.length - 1] > 15 * Math.max(1, sorted[sorted.length >> 1]);
  }
  return model.isLog || Boolean(model.card.training.tail?.is_heavy);
}

function range(values) {
  let low = Infinity;
  let high = -Infinity;
  for (const value of values) {
    if (value < low) low = value;
    if (value > high) high = value;
  }
  return [low, high === low ? low + 1 : high];
}

/** Both axes for a size in pixels: values to pixels and back. */
export class Axes {
  constructor(extent, { width, height, isLog }) {
    this.width = width;
    this.height = height;
    this.isLog = isLog;
    this.age = extent.age;
    this.low = isLog ? Math.log10(1 + extent.power[0]) * 0.985 : Math.min(0, extent.power[0]);
    this.high = isLog ? Math.log10(1 + extent.power[1]) : extent.power[1];
    this.spanX = width - MARGIN.left - MARGIN.right;
    this.spanY = height - MARGIN.top - MARGIN.bottom;
  }

  x(age) {
    return MARGIN.left + ((age - this.age[0]) / (this.age[1] - this.age[0])) * this.spanX;
  }

  y(power) {
    const value = this.isLog ? Math.log10(1 + Math.max(0, power)) : power;
    return MARGIN.top + (1 - (value - this.low) / (this.high - this.low)) * this.spanY;
  }

  /** Return the record under a pixel, within the plane. */
  record(x, y) {
    const right = Math.min(1, Math.max(0, (x - MARGIN.left) / this.spanX));
    const up = Math.min(1, Math.max(0, 1 - (y - MARGIN.top) / this.spanY));
    const value = this.low + up * (this.high - this.low);
    const power = this.isLog ? 10 ** value - 1 : value;
    return [Math.max(0, this.age[0] + right * (this.age[1] - this.age[0])), Math.max(0, power)];
  }

  get ageTicks() {
    return steps(this.age, Math.max(3, this.spanX / 90));
  }

  get powerTicks() {
    if (!this.isLog) return steps([this.low, this.high], Math.max(3, this.spanY / 60));
    const ticks = [];
    for (let power = 0; power < 12; power++) {
      for (const factor of this.high - this.low < 2.7 ? [1, 2, 5] : [1]) ticks.push(factor * 10 ** power);
    }
    return ticks.filter((tick) => Math.log10(1 + tick) >= this.low && Math.log10(1 + tick) <= this.high);
  }
}

function steps([low, high], wanted) {
  const rough = (high - low) / wanted;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].find((factor) => factor * power >= rough) * power;
  const ticks = [];
  for (let tick = Math.ceil(low / step) * step; tick <= high; tick += step) ticks.push(tick);
  return ticks;
}

export function Plane({ model, isLog, record, onMove, title }) {
  const frame = useRef(null);
  const canvas = useRef(null);
  const [width, setWidth] = useState(0);
  const [theme, setTheme] = useState(0);
  const extent = useMemo(() => findExtent(model), [model]);
  const height = Math.round(Math.min(520, Math.max(300, width * 0.62)));
  const axes = useMemo(() => new Axes(extent, { width, height, isLog }), [extent, width, height, isLog]);

  useEffect(() => {
    const watch = new ResizeObserver(([entry]) => setWidth(Math.round(entry.contentRect.width)));
    watch.observe(frame.current);
    const scheme = matchMedia("(prefers-color-scheme: dark)");
    const redraw = () => setTheme((turn) => turn + 1);
    scheme.addEventListener("change", redraw);
    return () => {
      watch.disconnect();
      scheme.removeEventListener("change", redraw);
    };
  }, []);
  useLayoutEffect(() => {
    if (width) draw(canvas.current, { model, axes });
  }, [model, axes, width, theme]);

  const drag = (event) => {
    if (!onMove || (event.type === "pointermove" && !event.currentTarget.hasPointerCapture(event.pointerId))) return;
    if (event.type === "pointerdown") {
      event.currentTarget.setPointerCapture(event.pointerId);
      event.preventDefault();
      frame.current.querySelector(".handle").focus({ preventScroll: true });
    }
    const box = canvas.current.getBoundingClientRect();
    onMove(...axes.record(event.clientX - box.left, event.clientY - box.top));
  };
  const step = (event) => {
    const move = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (!move) return;
    event.preventDefault();
    const far = event.shiftKey ? 24 : 6;
    onMove(...axes.record(axes.x(record[0]) + move[0] * far, axes.y(record[1]) + move[1] * far));
  };
  const isInside = record && record[0] >= extent.age[0] && record[0] <= extent.age[1];
  const place = record && {
    left: `${Math.min(width - MARGIN.right, Math.max(MARGIN.left, axes.x(record[0])))}px`,
    top: `${Math.min(height - MARGIN.bottom, Math.max(MARGIN.top, axes.y(record[1])))}px`,
  };
  return html`<div class="plane ${onMove ? "movable" : ""}" ref=${frame} style=${{ height: `${height}px` }}
      onPointerDown=${drag} onPointerMove=${drag}>
    <canvas ref=${canvas} role="img" aria-label=${title}></canvas>
    ${onMove && width > 0 && html`<button type="button" class="handle ${isInside ? "" : "outside"}" style=${place}
      onKeyDown=${step} aria-describedby="handle-help"
      aria-label=${`Record at Age ${amount("Age", record[0])}, Spending Power ${amount("Spending_Power", record[1])}`}></button>`}
  </div>`;
}

function draw(canvas, { model, axes }) {
  const ratio = window.devicePixelRatio || 1;
  const { width, height } = axes;
  canvas.width = width * ratio;
  canvas.height = height * ratio;
  const pen = canvas.getContext("2d");
  pen.scale(ratio, ratio);
  const colours = readColours();
  const paths = model.segments.map((segment) => new Path2D(markPath(segment.mark)));
  const colourOf = (segment) => colours.segments[segment.mark % colours.segments.length];
  drawRegions(pen, { model, axes, colourOf });
  drawAxes(pen, { axes, colours });
  if (model.sample) drawSample(pen, { model, axes, paths, colourOf });
  drawCentroids(pen, { model, axes, paths, colours, colourOf });
}

function drawRegions(pen, { model, axes, colourOf }) {
  const places = [];
  for (let y = MARGIN.top; y < axes.height - MARGIN.bottom; y += CELL) {
    const row = [];
    for (let x = MARGIN.left; x < axes.width - MARGIN.right; x += CELL) {
      row.push(model.assign(...axes.record(x + CELL / 2, y + CELL / 2)));
    }
    places.push(row);
  }
  pen.globalAlpha = 0.13;
  places.forEach((row, line) => {
    let start = 0;
    for (let column = 1; column <= row.length; column++) {
      if (row[column] === row[start]) continue;
      pen.fillStyle = colourOf(model.segments[row[start]]);
      pen.fillRect(MARGIN.left + start * CELL, MARGIN.top + line * CELL, (column - start) * CELL, CELL);
      start = column;
    }
  });
  pen.globalAlpha = 1;
}

function drawAxes(pen, { axes, colours }) {
  pen.font = `12px ${colours.font}`;
  pen.strokeStyle = colours.line;
  pen.fillStyle = colours.soft;
  pen.lineWidth = 1;
  pen.textBaseline = "middle";
  pen.textAlign = "right";
  const bottom = axes.height - MARGIN.bottom;
  for (const tick of axes.powerTicks) {
    const y = Math.round(axes.y(tick)) + 0.5;
    pen.beginPath();
    pen.moveTo(MARGIN.left, y);
    pen.lineTo(axes.width - MARGIN.right, y);
    pen.stroke();
    pen.fillText(brief(tick), MARGIN.left - 8, y);
  }
  pen.textAlign = "center";
  for (const tick of axes.ageTicks) pen.fillText(brief(tick), axes.x(tick), bottom + 13);
  pen.textAlign = "right";
  pen.fillText("Age →", axes.width - MARGIN.right, axes.height - 9);
  pen.textAlign = "left";
  pen.fillText("↑ Spending Power", 4, axes.height - 9);
}

function drawSample(pen, { model, axes, paths, colourOf }) {
  const { Age: ages, Spending_Power: powers } = model.sample;
  const size = ages.length > 800 ? 0.42 : 0.55;
  pen.globalAlpha = 0.72;
  for (let record = 0; record < ages.length; record++) {
    const place = model.assign(ages[record], powers[record]);
    pen.save();
    pen.translate(axes.x(ages[record]), axes.y(powers[record]));
    pen.scale(size, size);
    pen.fillStyle = colourOf(model.segments[place]);
    pen.fill(paths[place]);
    pen.restore();
  }
  pen.globalAlpha = 1;
}

function drawCentroids(pen, { model, axes, paths, colours, colourOf }) {
  for (const segment of model.segments) {
    const [age, power] = model.unscaled(segment.centroid_scaled);
    pen.save();
    pen.translate(axes.x(age), axes.y(power));
    pen.scale(1.9, 1.9);
    pen.lineJoin = "round";
    pen.strokeStyle = colours.surface;
    pen.lineWidth = 3.4;
    pen.stroke(paths[segment.place]);
    pen.strokeStyle = colours.ink;
    pen.lineWidth = 1.3;
    pen.stroke(paths[segment.place]);
    pen.fillStyle = colourOf(segment);
    pen.fill(paths[segment.place]);
    pen.restore();
  }
}
