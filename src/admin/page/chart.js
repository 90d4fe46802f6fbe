// Charts over time: with axes and a readout, and small ones without.
import {axisTime, duration, el, roundDuration, set, timeZone} from "./dom.js";

const SVG = "http://www.w3.org/2000/svg";
const WIDTH = 300, HEIGHT = 60;

function shape(tag, attributes) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
}

// Slots without jobs interrupt a line; an isolated slot is a dot.
function line(slots, key, scale) {
  const parts = [], dots = [];
  slots.forEach((slot, i) => {
    if (slot[key] === null) return;
    const x = (i + 0.5) * WIDTH / slots.length, y = HEIGHT - scale(slot[key]);
    const follows = i > 0 && slots[i - 1][key] !== null;
    parts.push(`${follows ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`);
    if (!follows && (i + 1 === slots.length || slots[i + 1][key] === null)) dots.push(shape("circle", {class: key, cx: x, cy: y, r: 2.2}));
  });
  return [shape("path", {class: key, d: parts.join("")}), ...dots];
}

// A chart with its base line, still without lines.
function frame(kind, description) {
  const svg = shape("svg", {class: kind, viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img", "aria-label": description});
  svg.append(shape("line", {x1: 0, x2: WIDTH, y1: HEIGHT, y2: HEIGHT}));
  return svg;
}

// What was queued and ran in each slot at most. Slots of which nothing is known interrupt the lines.
export function sparkline(slots) {
  const most = Math.max(1, ...slots.map((slot) => Math.max(slot.queued_max || 0, slot.running_max || 0)));
  const scale = (value) => 2 + value * (HEIGHT - 6) / most;
  const known = slots.filter((slot) => slot.queued_max !== null);
  const range = (key) => `at most ${Math.max(0, ...known.map((slot) => slot[key]))}, last ${known.length > 0 ? known[known.length - 1][key] : 0}`;
  const svg = frame("chart spark",
    known.length > 0 ? `The last hour: queued ${range("queued_max")}; running ${range("running_max")}` : "Nothing is known of the last hour");
  for (const key of ["running_max", "queued_max"]) svg.append(...line(slots, key, scale));
  return svg;
}

// --- charts with axes ---

const MARGIN = {top: 10, right: 14, bottom: 22};
const CHAR = 7, LABEL_SPACE = 64; // pixels: width of a digit at most; of a label of the time axis, with its space
const DURATIONS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400]; // seconds
const TIMES = [...DURATIONS.filter((step) => step >= 60), 2 * 86400, 7 * 86400, 14 * 86400];
const MONDAY = 4 * 86400e3; // the first after 1970 began: places of weeks count from there

// Where days and hours of the page's zone begin.
const zoneOffset = (time) => timeZone().isUtc ? 0 : -60e3 * new Date(time).getTimezoneOffset();

// The first of 1, 2, 5, 10, 20… of which `most` has at most four.
function countStep(most) {
  for (let power = 1;; power *= 10) for (const step of [power, 2 * power, 5 * power]) if (!(most / step > 4)) return step;
}

// Values of the ticks of an axis from 0 to `most` or a little more.
export function valueTicks(most, unit) {
  const step = unit === "seconds" ? DURATIONS.find((each) => most / each <= 4) || 86400 * countStep(most / 86400) : countStep(most);
  return Array.from({length: Math.max(1, Math.ceil(most / step)) + 1}, (_, i) => i * step);
}

// Round times from `from` to `until`, in milliseconds, at most about `count`.
export function timeTicks(from, until, count) {
  const step = 1000 * (TIMES.find((each) => (until - from) / 1000 / each <= count) || TIMES[TIMES.length - 1]);
  const ticks = [];
  let wall = Math.ceil((from + zoneOffset(from) - MONDAY) / step) * step + MONDAY;
  for (let time = from; time <= until; wall += step) { // a change of the clock leaves some out
    time = wall - zoneOffset(wall - zoneOffset(from));
    if (time >= from && time <= until && time + zoneOffset(time) === wall) ticks.push(time);
  }
  return ticks;
}

const valueWords = (value, unit) => value === null ? "–" : unit === "seconds" ? duration(value) : value.toLocaleString("en-GB", {maximumFractionDigits: 1});
const tickWords = (value, unit) => unit === "seconds" ? roundDuration(value) : valueWords(value, unit);
const timeTickWords = (time) => (time + zoneOffset(time)) % 86400e3 === 0 ? axisTime(time, "date") : axisTime(time);

// Points of one line, in parts that nothing interrupts.
function parts(points) {
  const all = [];
  points.forEach((point, i) => {
    if (point === null) return;
    if (i === 0 || points[i - 1] === null) all.push([]);
    all[all.length - 1].push(point);
  });
  return all;
}

// A single point is a dot. `base`: where areas end.
function drawLine(points, kind, names, base) {
  const shapes = [];
  for (const part of parts(points)) {
    const path = part.map(([x, y]) => `${x.toFixed(1)} ${y.toFixed(1)}`).join("L"), last = part[part.length - 1];
    if (part.length === 1) shapes.push(shape("circle", {class: names, cx: last[0], cy: last[1], r: 2.5}));
    else if (kind === "area") shapes.push(shape("path", {class: `fill ${names}`, d: `M${part[0][0]} ${base}L${path}L${last[0]} ${base}Z`}));
    if (part.length > 1) shapes.push(shape("path", {class: `stroke ${names}`, d: `M${path}`}));
  }
  return shapes;
}

const namesOf = (line, i) => `${line.kind} series-${i} ${line.key}`;

function legend(lines) {
  return el("ul", {class: "chart-key"}, ...lines.map((line, i) => {
    const swatch = shape("svg", {width: 24, height: 10, "aria-hidden": "true"});
    swatch.append(...drawLine([[1, 3], [23, 3]], line.kind, namesOf(line, i), 10));
    return el("li", null, swatch, line.title);
  }));
}

// Where times and values are in a drawing of this size.
function makeScale(slots, lines, unit, most, [width, height]) {
  const starts = slots.map((slot) => Date.parse(slot.start)), from = starts[0];
  const length = starts.length > 1 ? starts[1] - starts[0] : 60e3, until = starts[starts.length - 1] + length;
  const known = slots.flatMap((slot) => lines.map((line) => slot[line.key] ?? 0));
  const ticks = valueTicks(most || known.reduce((a, b) => Math.max(a, b), 0), unit), top = ticks[ticks.length - 1];
  const left = CHAR * Math.max(2, ...ticks.map((tick) => tickWords(tick, unit).length)) + 12, right = width - MARGIN.right, base = height - MARGIN.bottom;
  const x = (time) => left + (time - from) / (until - from) * (right - left);
  const y = (value) => base - Math.min(1, value / top) * (base - MARGIN.top);
  const middle = (i) => x(starts[i] + length / 2);
  // The slot at a place, in pixels.
  const at = (place) => Math.max(0, starts.filter((start) => x(start) <= place).length - 1);
  return {starts, from, until, length, ticks, left, right, base, x, y, middle, at};
}

function drawAxes(scale, unit) {
  const {left, right, base} = scale, shapes = [];
  for (const tick of scale.ticks) {
    const words = shape("text", {x: left - 6, y: scale.y(tick) + 4, "text-anchor": "end"});
    words.textContent = tickWords(tick, unit);
    shapes.push(shape("line", {class: tick === 0 ? "base" : "grid", x1: left, x2: right, y1: scale.y(tick), y2: scale.y(tick)}), words);
  }
  for (const time of timeTicks(scale.from, scale.until, Math.max(1, Math.floor((right - left) / LABEL_SPACE)))) {
    const words = shape("text", {class: "time", y: base + 17, "text-anchor": "middle"}), x = scale.x(time);
    words.textContent = timeTickWords(time);
    set(words, {x: Math.min(x, right + MARGIN.right - words.textContent.length * CHAR / 2)});
    shapes.push(shape("line", {class: "base", x1: x, x2: x, y1: base, y2: base + 4}), words);
  }
  return shapes;
}

// When a slot was, for the readout. Screen readers have it as the value of the chart, which is a slider over its slots.
function slotWords(scale, i) {
  const start = scale.starts[i], end = start + scale.length;
  const to = zoneOffset(end) + end;
  const isOneDay = Math.floor((start + zoneOffset(start)) / 86400e3) === Math.floor((to - 1) / 86400e3);
  if (scale.length % 86400e3 === 0) return axisTime(start, "date");
  return `${axisTime(start, "date")}, ${axisTime(start)}–${isOneDay ? "" : `${axisTime(end, "date")}, `}${axisTime(end)}`;
}

// What a pointer and the keyboard do: `choose(i)` with a slot, or null for none.
function listen(plot, chart) {
  const byPointer = (event) => chart.choose(chart.scale && chart.scale.at(event.clientX - plot.getBoundingClientRect().left));
  plot.addEventListener("pointermove", byPointer);
  plot.addEventListener("pointerdown", byPointer);
  plot.addEventListener("pointerleave", (event) => {
    if (event.pointerType === "mouse" && document.activeElement !== plot) chart.choose(null);
  });
  plot.addEventListener("focus", () => chart.choose(chart.chosen ?? chart.last()));
  plot.addEventListener("blur", () => chart.choose(null));
  plot.addEventListener("keydown", (event) => {
    const end = chart.slots.length - 1, here = chart.chosen ?? chart.last();
    const to = {ArrowLeft: here - 1, ArrowRight: here + 1, PageUp: here - 10, PageDown: here + 10, Home: 0, End: end}[event.key];
    if (event.key === "Escape") chart.choose(null);
    if (to === undefined || event.ctrlKey || event.altKey || event.metaKey) return;
    event.preventDefault();
    chart.choose(Math.max(0, Math.min(end, to)));
  });
}

// A chart of `slots` ({start, …}, in their order and of the same length), with a line for each of `lines`
// ({key, title, kind: "line" or "area"}): the slots' values of that key, null where nothing is known. `unit`: "seconds" or
// "count". `label`: its accessible name. `most`: what the scale has to reach, for several charts with a common scale.
// The element has show(slots, most), which draws others and keeps what the reader has chosen.
export function timeChart({slots, lines, unit, label, most}) {
  const svg = shape("svg", {"aria-hidden": "true"}), cross = shape("g", {class: "cross"}), readout = el("div", {class: "readout", hidden: true});
  const plot = el("div", {class: "plot", tabindex: 0, role: "slider", "aria-roledescription": "chart", "aria-label": label, "aria-orientation": "horizontal"}, svg, readout);
  const root = el("div", {class: "time-chart"}, legend(lines), plot);
  const chart = {slots, most, chosen: null, scale: null};
  const value = (slot, line) => slot[line.key] ?? null;
  const says = (i, speak) => lines.map((line) => speak(line.title, valueWords(value(chart.slots[i], line), unit)));

  chart.last = () => {
    for (let i = chart.slots.length - 1; i > 0; i--) if (lines.some((line) => value(chart.slots[i], line) !== null)) return i;
    return 0;
  };

  chart.choose = (i) => {
    const {scale} = chart, isShown = i !== null && i !== undefined && scale && i < chart.slots.length;
    chart.chosen = isShown ? i : null;
    set(readout, {hidden: !isShown});
    cross.replaceChildren();
    describe(isShown ? i : chart.last());
    if (!isShown) return;
    const x = scale.middle(i), isRight = x > (scale.left + scale.right) / 2;
    cross.append(shape("line", {x1: x, x2: x, y1: MARGIN.top, y2: scale.base}));
    lines.forEach((line, at) => {
      const of = value(chart.slots[i], line);
      if (of !== null) cross.append(shape("circle", {class: namesOf(line, at), cx: x, cy: scale.y(of), r: 3.5}));
    });
    readout.replaceChildren(el("div", {class: "dim"}, slotWords(scale, i)), ...says(i, (title, words) => el("div", null, `${title} `, el("strong", null, words))));
    readout.style.transform = `translate(${Math.round(isRight ? x - 10 : x + 10)}px, 0)${isRight ? " translate(-100%, 0)" : ""}`;
  };

  function describe(i) {
    const isEmpty = chart.slots.length === 0 || !chart.scale;
    set(plot, {"aria-valuemin": 0, "aria-valuemax": Math.max(0, chart.slots.length - 1), "aria-valuenow": i,
      "aria-valuetext": isEmpty ? "no figures" : `${slotWords(chart.scale, i)}: ${says(i, (title, words) => `${title} ${words === "–" ? "no figure" : words}`).join(", ")}`});
  }

  function draw() {
    const size = [plot.clientWidth, plot.clientHeight];
    if (size[0] === 0) return;
    chart.scale = chart.slots.length > 0 ? makeScale(chart.slots, lines, unit, chart.most, size) : null;
    set(svg, {width: size[0], height: size[1]});
    const {scale} = chart;
    svg.replaceChildren(...scale ? drawAxes(scale, unit) : [], ...scale ? lines.flatMap((line, at) => drawLine(chart.slots.map((slot, i) =>
      value(slot, line) === null ? null : [scale.middle(i), scale.y(slot[line.key])]), line.kind, namesOf(line, at), scale.base)) : [], cross);
    chart.choose(chart.chosen);
  }

  root.show = (next, nextMost) => {
    const start = chart.chosen === null ? null : chart.slots[chart.chosen].start;
    const at = next.findIndex((slot) => slot.start === start);
    Object.assign(chart, {slots: next, most: nextMost, chosen: start === null ? null : at >= 0 ? at : next.length - 1});
    draw();
  };
  listen(plot, chart);
  describe(0);
  new ResizeObserver(draw).observe(plot);
  return root;
}
