// Small charts: latencies, as three lines over the slots of a window; and what waited and ran in a pool.
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

export function chart(slots, description) {
  const most = Math.max(1, ...slots.map((slot) => slot.p99 || 0));
  const scale = (value) => value * (HEIGHT - 6) / most;
  const svg = frame("chart", description);
  for (const key of ["p99", "p90", "p50"]) svg.append(...line(slots, key, scale));
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
