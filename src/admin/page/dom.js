// Making and updating elements. All external text is inserted as text, never as HTML: names are untrusted.

// el("a", {class: "x", href: "/", onclick: f}, "text", otherElement)
export function el(tag, properties, ...children) {
  const element = document.createElement(tag);
  set(element, properties || {});
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

export function set(element, properties) {
  for (const [name, value] of Object.entries(properties)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === null || value === undefined || value === false) element.removeAttribute(name);
    else if (element.getAttribute(name) !== String(value)) element.setAttribute(name, value === true ? "" : value);
  }
}

export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

// Replaces children only if what they say has changed: so that a selection stays.
export function replaceIfChanged(element, children) {
  const text = children.map((child) => child.textContent === undefined ? child : child.textContent).join("");
  if (element.textContent !== text) element.replaceChildren(...children);
}

// Only such URLs become links: a URL in a payload may be anything.
export function link(url, text, properties) {
  if (!/^https?:\/\//i.test(url || "")) return el("span", properties, text);
  return el("a", {...properties, href: url, rel: "noreferrer noopener"}, text);
}

// Isolates a name, so that its text direction does not affect its neighbours.
export function name(text, fallback) {
  return el("bdi", {class: "name"}, text || fallback || "(no name)");
}

// Makes the children of `parent` match `items`: those with the same key are kept, so that focus, scrolling and
// unfolded parts survive. `make(item)` makes an element, `update(element, item)` fills it.
export function keyed(parent, items, key, make, update) {
  const old = new Map();
  for (const child of [...parent.children]) old.set(child.dataset.key, child);
  let place = parent.firstElementChild;
  for (const item of items) {
    const id = String(key(item));
    let child = old.get(id);
    if (child) old.delete(id);
    else {
      child = make(item);
      child.dataset.key = id;
    }
    update(child, item);
    if (child === place) place = place.nextElementSibling;
    else parent.insertBefore(child, place);
  }
  for (const child of old.values()) child.remove();
}

// --- words ---

// "1 job", "1,200 jobs"
export const counted = (count, noun, nouns) => `${count.toLocaleString("en")} ${count === 1 ? noun : nouns || `${noun}s`}`;

// "test (3.14)" and "test (3.13)" are legs of one matrix.
export const matrixBase = (title) => (title || "").replace(/ \([^()]*\)$/, "");

// "850ms", "2.4s", "45s", "1m 5s", "6m 0s", "2h 5m", "3d 4h": as GitHub has them, and as duration_format_short() in base/time.h. Each
// step rounds, and goes to the next unit if that rounds up to it.
export function duration(seconds) {
  if (seconds === null || seconds === undefined || Number.isNaN(seconds)) return "–";
  const exact = Math.max(0, seconds), pair = (low, per, units) => `${Math.floor(low / per)}${units[0]} ${low % per}${units[1]}`;
  const [ms, tenths, s, m] = [1000, 10, 1, 1 / 60].map((factor) => Math.round(exact * factor));
  if (s >= 60) return s < 3600 ? pair(s, 60, "ms") : m < 1440 ? pair(m, 60, "hm") : pair(Math.round(exact / 3600), 24, "dh");
  if (ms === 0) return "0s";
  if (ms < 1000) return `${ms}ms`;
  return tenths < 100 && tenths % 10 !== 0 ? `${(tenths / 10).toFixed(1)}s` : `${s}s`;
}

// "5m" instead of "5m 0s": of settings, and at an axis
export const roundDuration = (seconds) => duration(seconds).replace(/ 0[hms]$/, "");

export function seconds(from, to) {
  return from && to ? (Date.parse(to) - Date.parse(from)) / 1000 : null;
}

export function bytes(count) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  while (count >= 1024 && unit < units.length - 1) {
    count /= 1024;
    unit++;
  }
  return `${unit > 0 && count < 10 ? count.toFixed(1) : Math.round(count)} ${units[unit]}`;
}

// The results of the API in the words of GitHub and of the terminal.
const RESULTS = {cancellation: "cancelled", skip: "skipped", timeout: "timed out"};
export const resultWord = (result) => RESULTS[result] || result || "no result";

// The head of a table. Columns: [title, class].
export function tableHead(...columns) {
  return el("thead", null, el("tr", null, ...columns.map(([title, kind]) => el("th", {scope: "col", class: kind}, title))));
}

export function labels(list, group) {
  const parts = list.length > 0 ? list.map((label) => el("span", {class: "label"}, el("bdi", null, label)))
    : [el("span", {class: "dim"}, "no labels")];
  if (group) parts.push(el("span", {class: "dim small"}, "in ", el("bdi", null, group)));
  return parts;
}

// --- times: all are formatted here, in the zone of the browser or in UTC, as the user chose ---

const UTC_KEY = "ghatrace-utc";
const FORMATS = {
  time: {hour: "2-digit", minute: "2-digit"},
  seconds: {hour: "2-digit", minute: "2-digit", second: "2-digit"},
  date: {day: "numeric", month: "short"},
  full: {day: "numeric", month: "short", year: "numeric", hour: "2-digit", minute: "2-digit", second: "2-digit", timeZoneName: "short"},
};
let isUtc = false, formats = {};
try {
  isUtc = localStorage.getItem(UTC_KEY) === "yes";
} catch { /* a browser may deny storage */ }

const formatOf = (kind) => formats[kind] ||= new Intl.DateTimeFormat("en-GB", {...FORMATS[kind], timeZone: isUtc ? "UTC" : undefined});

export function chooseUtc(wanted) {
  isUtc = wanted;
  formats = {};
  try {
    localStorage.setItem(UTC_KEY, wanted ? "yes" : "no");
  } catch { /* then it is chosen until the page is loaded again */ }
}

// {isUtc, name: "Europe/Berlin", short: "CET", isOnlyUtc}: the zone of all times on the page. isOnlyUtc: the local zone is UTC, too.
export function timeZone() {
  const {value} = formatOf("full").formatToParts(serverNow()).find((part) => part.type === "timeZoneName");
  const local = new Intl.DateTimeFormat().resolvedOptions().timeZone;
  return {isUtc, name: isUtc ? "UTC" : local, short: value, isOnlyUtc: /^(Etc\/)?(UTC|UCT|GMT|Zulu)$/.test(local)};
}

// A time on the axis of a chart. `kind`: "time" is 14:02, "seconds" 14:02:05, "date" 30 Nov, "full" all of it with the zone.
export const axisTime = (time, kind = "time") => formatOf(kind).format(new Date(time));
export const clockTime = (time) => time ? axisTime(time, "full") : "unknown";

// An element with the time of day, and the date if it is not from the last 20 hours. Its title has the zone.
export function clock(time) {
  const isRecent = Math.abs(serverNow() - new Date(time)) < 20 * 3600e3;
  return el("time", {datetime: time, title: clockTime(time)}, `${isRecent ? "" : `${axisTime(time, "date")}, `}${axisTime(time)}`);
}

// --- the server's clock, and ages ---

let ahead = 0; // of ours, in milliseconds
export function learnClock(now) {
  if (now) ahead = Date.parse(now) - Date.now();
}
export function serverNow() {
  return Date.now() + ahead;
}
export function age(since) {
  return (serverNow() - Date.parse(since)) / 1000;
}

// An element that shows an age, updated every second.
export function ageOf(since) {
  const element = el("span", {"data-since": since || ""});
  tick(element);
  return element;
}
export function setSince(element, since) {
  element.dataset.since = since || "";
  tick(element);
}
const OLD = 600; // seconds in the queue after which a job is highlighted
function tick(element) {
  const value = element.dataset.since ? age(element.dataset.since) : null;
  setText(element, duration(value === null ? null : Math.floor(Math.max(0, value))));
  element.classList.toggle("old", element.hasAttribute("data-warn") && value !== null && value > OLD);
}
export function tickAll() {
  for (const element of document.querySelectorAll("[data-since]")) tick(element);
}
