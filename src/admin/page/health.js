// The line beside the navigation, which says whether the page is live, and the problems of the export below it.
import {age, bytes, clockTime, counted, duration, el, name, setText} from "./dom.js";
import {ASK_MS, state} from "./model.js";

const opened = Date.now();
const words = (category) => category.replaceAll("_", " ");

// Problems of the export, in whole sentences. (The words beside "live" are what a screen reader announces.)
function exportTroubles({export: out, outbox, dead_letters: dead, dead_letters_dropped: dropped}) {
  const found = [], lost = dropped.age + dropped.size + dropped.room;
  if (out.state === "trouble")
    found.push(el("p", null, el("strong", null, "Export to ", name(out.endpoint), " has been failing"), ` since ${clockTime(out.since)}: `,
      name((out.message || words(out.category)).replace(/\.$/, "")), ". ", `${counted(outbox.records, "record")} ${outbox.records === 1 ? "is" : "are"} kept and will be sent when it works again.`));
  if (out.quarantined_records > 0)
    found.push(el("p", null, el("strong", null, `${counted(out.quarantined_records, "record")} quarantined: `), "refused while others were accepted. They are kept and tried again at intervals; ", el("code", null, "/api/quarantine"), " lists them."));
  if (dead > 0)
    found.push(el("p", null, el("strong", null, `${counted(dead, "dead letter")}: `), "refused for good. When the cause is gone, ", el("code", null, "ghatrace requeue"), " sends them again."));
  if (lost > 0)
    found.push(el("p", null, el("strong", null, `${counted(lost, "dead letter")} dropped since the start: `), "too old, or too many (dead-letters-max-age, dead-letters-max-size)."));
  if (out.header_file && !out.header_file.usable)
    found.push(el("p", null, el("strong", null, "The file with headers for the collector cannot be used"), ` since ${clockTime(out.header_file.since)}: `, name(out.header_file.reason, "unknown"), ". The last valid headers stay in use."));
  return found;
}

let shownTroubles = "";

export function showTroubles() {
  const box = document.getElementById("troubles");
  const found = state.status ? exportTroubles(state.status) : [];
  const text = found.map((part) => part.textContent).join("\n");
  if (text === shownTroubles) return; // keeps the user's selection
  shownTroubles = text;
  box.replaceChildren(...found);
  box.hidden = found.length === 0;
}

function refusedWords({requests_refused: {signature}, other_path: path}) {
  return signature + path > 0 ? `${counted(signature + path, "request")} refused, no delivery accepted` : "";
}

// What is wrong now: [kind, words], the kinds fixed.
function troublesNow({status, queue, runs}) {
  const found = [], isRecent = (what) => what && what.last_at && new Date(status.now) - new Date(what.last_at) < 3600e3;
  if (state.isLost) found.push(["lost", "connection lost, trying again"]);
  else if (state.wantsEvents && state.hasWorker && !state.isLive && Date.now() - state.since > ASK_MS)
    found.push(["held back", `no live updates come through (a proxy may hold them back); asking every ${ASK_MS / 1000} s`]);
  if (status && !status.ready) found.push(["not storing", `not storing: ${status.reason}`]);
  if (status && isRecent(status.series_overflow)) found.push(["series", `metrics-max-series is too small: counted as “other”, for example, ${status.series_overflow.kind} ${status.series_overflow.example}`]);
  if (status && isRecent(status.pools_folded)) found.push(["pools", `more pools of runners than metrics-max-pools: jobs counted as “(one-off)”, for example, ${status.pools_folded.example}`]);
  const unreadable = (queue ? queue.unreadable : 0) + (runs ? runs.unreadable : 0);
  if (unreadable > 0) found.push(["unreadable", `${unreadable} stored entries left out: they cannot be read`]);
  if (status && status.dead_letters > 0) found.push(["dead letters", counted(status.dead_letters, "dead letter")]);
  if (status && status.export.state === "trouble") found.push(["export", `export fails: ${words(status.export.category)}`]);
  return found;
}

let announced = new Set();

// Screen readers announce what has become worse, and nothing else: the line itself changes every second.
function announce(troubles) {
  const worse = troubles.filter(([kind]) => !announced.has(kind));
  announced = new Set(troubles.map(([kind]) => kind));
  if (worse.length > 0 || troubles.length === 0) setText(document.getElementById("announced"), worse.map(([, text]) => text).join("; "));
}

// The version of the page's files is in their addresses: …/v/VERSION/health.js.
const VERSION = import.meta.url.split("/").at(-2);
const isOutdated = (status) => status.page !== VERSION;

// How fresh the page is; empty while that is not known yet.
function freshness() {
  if (state.isLive) return "live · ";
  return state.hasWorker || !state.wantsEvents ? "" : `asking every ${ASK_MS / 1000} s, as this browser has no shared workers · `;
}

const storeWords = (store) => `${bytes(store.used_bytes)} of ${bytes(store.max_bytes)}`;

// Beside what is live only if it fills: it is at the end of the page, too.
function storeAtTop(store) {
  if (!state.wantsEvents) return `store ${storeWords(store)}`;
  return store.used_bytes * 2 > store.max_bytes ? ` · store ${storeWords(store)}` : "";
}

export function showHealth() {
  const health = document.getElementById("health"), status = state.status;
  const troubles = troublesNow(state);
  health.classList.toggle("bad", troubles.length > 0);
  announce(troubles);
  if (troubles.length > 0) setText(health, troubles.map(([, text]) => text).join(" · "));
  else if (status) {
    const last = status.last_delivery_at ? `last delivery ${duration(Math.floor(age(status.last_delivery_at)))} ago` : refusedWords(status.deliveries) || "no delivery since the start";
    setText(health, `${isOutdated(status) ? "load the page again, there is a new version · " : ""}${freshness()}${state.hasEnded ? "ended, not updated · " : state.wantsEvents ? last : ""}${storeAtTop(status.store)}`);
  }
  if (status) setText(document.getElementById("version"), `ghatrace ${status.version} · store ${storeWords(status.store)}`);
}
