// The live page. One model, `state`, is filled by the stream and by requests; views render from it and are updated
// when it changes. The address after '#' selects the view, so that each can be linked.
import {age, ageOf, bytes, clockTime, duration, el, keyed, labels, learnClock, link, name, seconds, set, setSince, setText, tableHead, tickAll} from "./dom.js";
import {chart} from "./chart.js";
import {makeJobs} from "./jobs.js";
import {makePools} from "./pools.js";
import {comparison, failureLine, fillRows, fillWaterfall, firstFailure, legend, makeWaterfall, sizeSwatches, unfold} from "./waterfall.js";

// `isLive`: events arrive. `heard`: when the last one did; 0: none yet. `isLost`: requests are not answered, either.
const state = {queue: null, runs: null, status: null, isLive: false, heard: 0, isLost: false};
const opened = Date.now();
const QUIET_MS = 40000; // an event arrives every 15 s, with or without changes
const ASK_MS = 5000;    // interval of requests while no events arrive
const main = document.getElementById("main");
let view = null; // {name, title, root, search?, update?(), tick?()}
let wantsSearch = false; // when the next view is shown

async function get(path) {
  const answer = await fetch(path, {headers: {accept: "application/json"}});
  const body = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Error(body.error || `${path} was answered ${answer.status}`);
  learnClock(body.now);
  return body;
}

function failure(error) {
  return el("div", {class: "empty", role: "alert"}, el("p", null, el("strong", null, "The request failed: "), error.message));
}

// --- servers --------------------------------------------------------------------------------------------------

// Several servers may have runs with the same number. github.com is not named: most users have no other server.
const isElsewhere = (server) => server && server !== "github.com";
const question = (server) => isElsewhere(server) ? `server=${encodeURIComponent(server)}` : "";

function withQuestion(path, ...parts) {
  const query = parts.filter((part) => part).join("&");
  return query ? `${path}?${query}` : path;
}

const pageOf = (run) => withQuestion(`#/runs/${run.run_id}/${run.run_attempt}`, question(run.server));
const addressOf = (id, attempt, server, more) => withQuestion(`/api/runs/${id}/${attempt}`, question(server), more);
const repository = (of) => name(of.repository && isElsewhere(of.server) ? `${of.server}/${of.repository}` : of.repository, "?");

// --- now ------------------------------------------------------------------------------------------------------

function tile(title, key) {
  return el("div", {class: "tile", "data-tile": key}, el("dt", null, title), el("dd", null, "–"));
}

function makeNow() {
  const tiles = el("dl", {class: "tiles"}, tile("queued for a runner", "queued"), tile("longest in the queue", "oldest"),
    tile("running", "running"), tile("waiting for approval", "waiting"), tile("runs in progress", "open_runs"));
  const runs = el("div", {class: "runs"}), jobs = makeJobs({pageOf, repository});
  const reports = el("tbody");
  const reportBox = el("div", {class: "scroll"}, el("table", null, tableHead(["job"], ["run"], ["runner", "optional"], ["what became of it"], ["received", "number"]), reports));
  const none = el("div", {class: "empty"});
  let shownWords = "", shownReports = "";
  const parts = {
    jobs: jobs.root,
    runs: el("section", {"aria-label": "Runs in progress"}, el("h2", null, "Runs in progress ", el("span", {class: "dim small"})), legend(), runs),
    reports: el("section", {"aria-label": "Reports of ARC", hidden: true}, el("h2", null, "Last reports of ARC"), reportBox),
  };
  const pools = makePools(get, () => update());
  // Hidden until all of it is known, so that nothing moves.
  const content = el("div", {hidden: true}, pools.root, tiles, none, parts.jobs, parts.runs, parts.reports);
  const root = el("div", null, el("h1", null, "Now"), content);
  sizeSwatches(root);

  function updateTiles({totals, pools: list}) {
    const oldest = list.map((pool) => pool.oldest_queued_since).filter(Boolean).sort()[0];
    for (const box of tiles.children) {
      const value = box.lastElementChild, key = box.dataset.tile;
      if (key === "oldest") {
        if (!value.firstElementChild) value.replaceChildren(el("span", {"data-since": "", "data-warn": ""}));
        setSince(value.firstElementChild, oldest);
      } else setText(value, totals[key].toLocaleString());
    }
  }

  function updateRuns(list, total) {
    setText(parts.runs.querySelector("h2 span"), total > list.length ? `the newest ${list.length} of ${total}` : "");
    keyed(runs, list, pageOf, (run) => el("article", {class: "run"}, el("h3", null,
      el("a", {href: pageOf(run)}, name(run.workflow, "workflow"), run.run_number ? ` #${run.run_number}` : ""),
      el("span", {class: "dim"}, repository(run)), el("span", {class: "dim optional"}, name(run.title || run.branch, " ")),
      el("span", {class: "dim right"}, ageOf(run.started_at))), el("div", {class: "rows"})), (card, run) => fillRows(card.lastElementChild, run));
  }

  // The last hundred, as they were answered: one that was held may have found its job since.
  function updateReports({arc, otlp}) {
    const text = JSON.stringify(arc.last);
    parts.reports.hidden = !otlp.on;
    if (text === shownReports) return;
    shownReports = text;
    reports.replaceChildren(...arc.last.map((report) => el("tr", null,
      el("td", null, name(report.job_name, "–"), el("div", {class: "dim small"}, name(report.repository, " "))),
      el("td", null, !report.run_id ? "–" : el("a", {href: report.run_attempt > 0 ? pageOf(report) : `#/runs?q=${encodeURIComponent(report.run_id)}`}, report.run_id)),
      el("td", {class: "optional"}, name(report.runner_name, "–")), el("td", null, report.outcome.replaceAll("_", " ")),
      el("td", {class: "number"}, ageOf(report.at), " ago"))));
    if (arc.last.length === 0) reports.replaceChildren(el("tr", null, el("td", {colspan: "5", class: "dim"}, "None since the start.")));
  }

  function update() {
    if (!state.queue || !state.runs || !state.status) return;
    const {totals} = state.queue;
    const isIdle = totals.queued + totals.running + totals.waiting + totals.open_runs === 0;
    updateReports(state.status);
    pools.update(state);
    updateTiles(state.queue);
    jobs.update(state.queue);
    updateRuns(state.runs.runs, totals.open_runs);
    const words = isIdle ? idleWords() : [], text = words.map((part) => part.textContent).join("\n");
    if (text !== shownWords) none.replaceChildren(...words); // keeps the user's selection
    shownWords = text;
    none.hidden = !isIdle;
    parts.runs.hidden = state.runs.runs.length === 0;
    content.hidden = !pools.isKnown();
  }

  return {
    name: "now", title: "now", root, update,
    tick() {
      pools.tick(state);
      if (state.runs) state.runs.runs.forEach((run, i) => runs.children[i] && fillRows(runs.children[i].lastElementChild, run));
    },
  };
}

const SUBJECTS = {secret: "Secret", path: "Path", events: "Events", delivery: "Last delivery", export: "Collector", arc: "ARC"};

// The daemon's own report on its setup.
function setupPanel({items}) {
  return el("section", {class: "setup", "aria-label": "Is it set up right?"}, el("h2", null, "Is it set up right?"), el("ul", null, ...items.map((item) =>
    el("li", {"data-setup": item.name}, el("strong", null, SUBJECTS[item.name] || item.name), el("span", {class: `state setup-${item.state}`}, item.state), el("span", null, name(item.message))))));
}

// Shows what to do if there is no data.
function idleWords() {
  const status = state.status;
  const isNew = status && status.last_delivery_at === null && status.store.finished_runs === 0;
  if (!isNew && (!status || status.setup.ok))
    return [el("p", null, el("strong", null, "Nothing is queued and nothing runs.")), el("p", null, "Finished runs are under ", el("a", {href: "#/runs"}, "Runs"), ".")];
  const stateOf = (key) => status.setup.items.find((item) => item.name === key).state;
  const isRefused = stateOf("secret") === "wrong" || stateOf("path") === "wrong";
  const title = isRefused ? "Deliveries are refused." : !isNew ? "Something is not set up right." : stateOf("delivery") === "ok" ? "The webhook works; no event of a job or run was received yet." : "No delivery was received yet.";
  const found = [el("p", null, el("strong", null, title)), setupPanel(status.setup)];
  if (isNew) found.push(el("p", null, "At GitHub, in the organization's settings under Webhooks, add a webhook whose payload URL leads to ", el("code", null, `http://${status.listen}${status.webhook_path}`),
    " (by your proxy or tunnel), with the secret, and with the events ", el("strong", null, "Workflow jobs"), " and ", el("strong", null, "Workflow runs"), "."),
  el("p", null, "To try it without GitHub: ", el("code", null, `ghatrace replay http://${status.listen}${status.webhook_path} FILE…`)));
  return found;
}

// --- runs -----------------------------------------------------------------------------------------------------

const FILTERS = ["q", "repository", "workflow", "branch", "result"];

function makeRuns(parameters) {
  const rows = el("tbody"), words = el("div", {class: "empty", hidden: true}), more = el("button", {class: "plain", type: "button", hidden: true}, "More");
  const input = (key, title, kind) => el("input", {type: kind || "text", name: key, value: parameters.get(key) || "", placeholder: title, "aria-label": title, autocomplete: "off"});
  const result = el("select", {name: "result", "aria-label": "Result"}, ...["", "success", "failure", "cancellation", "timeout", "skip", "error"].map((value) =>
    el("option", {value, selected: value === (parameters.get("result") || "")}, value || "any result")));
  const form = el("form", {class: "search", role: "search"}, input("q", "Search: name, branch, title, run id  ( / )", "search"), input("repository", "Repository"), input("workflow", "Workflow"), input("branch", "Branch"), result);
  const box = el("div", {class: "scroll", hidden: true}, el("table", null, tableHead(["run"], ["result"], ["took", "number"], ["branch", "optional"], ["ended", "number optional"]), rows));
  const count = el("p", {class: "dim small count", role: "status"});
  const root = el("div", null, el("h1", null, "Recent runs"), form, count, words, box, el("p", null, more));
  let asked = 0, timer = 0, next = null;

  function query() {
    const wanted = new URLSearchParams();
    for (const key of FILTERS) if (form.elements[key].value) wanted.set(key, form.elements[key].value);
    return wanted;
  }

  function row(run) {
    return el("tr", null, el("td", null, el("a", {href: pageOf(run)}, name(run.workflow, "workflow"), run.run_number ? ` #${run.run_number}` : "", run.run_attempt > 1 ? ` attempt ${run.run_attempt}` : ""),
      el("div", {class: "dim small"}, repository(run), run.title ? " · " : "", run.title ? name(run.title) : null)),
    el("td", null, el("span", {class: `state ${run.result || ""}`}, run.incomplete ? "incomplete" : run.result || "no result")),
    el("td", {class: "number"}, duration(run.duration_seconds)), el("td", {class: "optional"}, name(run.branch, "–")),
    el("td", {class: "number optional"}, ageOf(run.ended_at), " ago"));
  }

  async function load(cursor) {
    const mine = ++asked, wanted = query();
    const isFiltered = wanted.size > 0;
    if (cursor) wanted.set("cursor", cursor);
    wanted.set("limit", "50");
    try {
      const answer = await get(`/api/runs?${wanted}`);
      if (mine !== asked) return; // a later request was sent
      if (!cursor) rows.replaceChildren();
      rows.append(...answer.runs.map(row));
      next = answer.next;
      more.hidden = !next;
      box.hidden = rows.children.length === 0;
      setText(count, rows.children.length === 0 ? "" : `${rows.children.length}${next ? " or more" : ""} runs`);
      words.hidden = rows.children.length > 0;
      words.replaceChildren(...emptyWords(isFiltered));
    } catch (error) {
      words.hidden = false;
      words.replaceChildren(failure(error));
    }
  }

  function emptyWords(isFiltered) {
    if (isFiltered && next) return [el("p", null, "Nothing among the newest runs; “More” looks further back.")];
    if (isFiltered) return [el("p", null, el("strong", null, "No finished run matches.")), el("p", null, el("button", {class: "plain", type: "button", onclick: clear}, "Clear the search"))];
    const kept = state.status ? duration(state.status.history_seconds) : "a while";
    return [el("p", null, el("strong", null, "No finished run is in the store.")), el("p", null, `Runs appear here when they end, and stay for ${kept} (the setting history).`)];
  }

  function clear() {
    form.reset();
    for (const key of FILTERS) form.elements[key].value = "";
    changed();
    form.elements.q.focus();
  }

  function changed() {
    clearTimeout(timer);
    const wanted = String(query());
    history.replaceState(null, "", `#/runs${wanted ? `?${wanted}` : ""}`);
    timer = setTimeout(() => load(null), 150);
  }

  form.addEventListener("input", changed);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("keydown", (event) => event.key === "Escape" && clear());
  more.addEventListener("click", () => load(next));
  load(null);
  // Newly finished runs, unless the user is reading further down.
  let known = null;
  return {name: "runs", title: "runs", root, search: form.elements.q, update() {
    const finished = state.status && state.status.store.finished_runs;
    if (known !== null && finished !== known && rows.children.length <= 50) load(null);
    known = finished;
  }};
}

// --- one run --------------------------------------------------------------------------------------------------

function makeRun(id, attempt, server) {
  const head = el("div"), waterfall = makeWaterfall(), others = el("div"), words = el("div");
  const chart = el("div", {hidden: true}, waterfall, legend());
  const root = el("div", null, words, head, chart, others);
  let detail = null, compared = "", unfolded = false; // once, so that a user can fold it
  sizeSwatches(root);

  function copy(text, button) {
    const done = () => {
      button.textContent = "copied";
      setTimeout(() => { button.textContent = "copy"; }, 1500);
    };
    if (navigator.clipboard) navigator.clipboard.writeText(text).then(done, () => select(text));
    else select(text);
  }

  // Browsers deny the clipboard to pages over plain HTTP: then the ID is selected for copying.
  function select() {
    const range = document.createRange();
    range.selectNodeContents(head.querySelector("code"));
    getSelection().removeAllRanges();
    getSelection().addRange(range);
  }

  function renderHead() {
    const {run} = detail;
    const result = run.state === "open" ? "in progress" : run.result || "no result";
    const took = run.state === "open" ? ageOf(run.started_at) : el("span", null, duration(run.duration_seconds));
    const button = el("button", {class: "plain", type: "button", "aria-label": "Copy the trace ID"}, "copy"), failed = firstFailure(detail);
    button.addEventListener("click", () => copy(run.trace_id, button));
    head.replaceChildren(
      el("p", {class: "dim small"}, el("a", {href: "#/runs"}, "Runs"), " / ", repository(run)),
      el("h1", null, name(run.workflow, "workflow"), run.run_number ? ` #${run.run_number}` : "", " ", el("span", {class: "dim"}, name(run.title, " "))),
      ...failed ? [failureLine(failed)] : [],
      el("p", null, el("span", {class: `state ${run.state === "open" ? "running" : run.result || ""}`}, result), " in ", took,
        run.event ? ` · ${run.event}` : "", run.branch ? " · " : "", run.branch ? name(run.branch) : null, run.actor ? " · by " : "", run.actor ? name(run.actor) : null,
        ` · started ${clockTime(run.started_at)}`),
      el("p", null, link(run.url, "on GitHub"), run.trace_url ? " · " : "", run.trace_url ? link(run.trace_url, "in the tracing backend") : null,
        " · trace ", el("code", null, run.trace_id), " ", button, " · ", el("a", {href: addressOf(run.run_id, run.run_attempt, run.server, "format=otlp")}, "OTLP JSON")));
    if (detail.attempts.length > 1) head.append(el("nav", {class: "tabs", "aria-label": "Attempts"}, ...detail.attempts.map((number) =>
      el("a", {href: pageOf({...run, run_attempt: number}), "aria-current": number === run.run_attempt ? "page" : null}, `attempt ${number}`))));
    const critical = detail.jobs.filter((job) => job.critical);
    if (critical.length > 0) head.append(el("p", {class: "small"}, "Critical path: ", ...critical.flatMap((job, i) => [i > 0 ? " → " : "", name(job.name)]),
      el("span", {class: "dim"}, " (underlined below): what has to get shorter for the run to get shorter.")));
  }

  // The attempts side by side, once for each set of them.
  async function compare() {
    const key = detail.attempts.join();
    if (detail.attempts.length < 2 || compared === key) return;
    compared = key;
    const all = await Promise.all(detail.attempts.slice(-5).map((number) => get(addressOf(id, number, detail.run.server))));
    others.replaceChildren(el("h2", null, "Attempts side by side"), comparison(all));
  }

  async function load() {
    try {
      detail = await get(addressOf(id, attempt, server));
      words.replaceChildren();
      renderHead();
      chart.hidden = false;
      fillWaterfall(waterfall, detail);
      const failed = firstFailure(detail);
      if (failed && !unfolded) unfold(waterfall, failed.job);
      unfolded = unfolded || failed !== null;
      await compare();
    } catch (error) {
      words.replaceChildren(failure(error));
    }
  }

  load();
  return {name: "runs", title: `run ${id}`, root, update() {
    if (detail && detail.run.state === "open") load();
  }, tick() {
    if (detail && detail.run.state === "open") fillWaterfall(waterfall, detail);
  }};
}

// --- runner latency -------------------------------------------------------------------------------------------

function makeLatency(parameters) {
  let chosen = parameters.get("window") === "24h" ? "24h" : "1h", loaded = 0;
  const pools = el("div", {class: "pools"}), words = el("div");
  const tabs = el("nav", {class: "tabs", "aria-label": "Window"}, ...[["1h", "last hour"], ["24h", "last day"]].map(([value, title]) =>
    el("a", {href: `#/latency?window=${value}`, "aria-current": value === chosen ? "page" : null}, title)));
  const root = el("div", null, el("h1", null, "Runner latency"), el("p", {class: "dim"}, "How long jobs that were ready to run waited for a runner, by what they asked for. Counted when the wait ends: jobs that still wait are not in it, but under Now."), tabs, words, pools);

  function fact(key, title, value) {
    return el("div", null, el("dt", {class: key}, title), el("dd", null, value));
  }

  function card(pool, answer) {
    const percentiles = `median ${duration(pool.p50)}, 90th percentile ${duration(pool.p90)}, 99th ${duration(pool.p99)}`;
    return el("article", {class: "pool"}, el("h2", null, ...labels(pool.runner_labels, pool.runner_group)),
      el("dl", null, fact("p50", "median", duration(pool.p50)), fact("p90", "90 %", duration(pool.p90)), fact("p99", "99 %", duration(pool.p99)), fact("plain", "longest", duration(pool.max)), fact("plain", "jobs", pool.count.toLocaleString())),
      chart(pool.slots, percentiles), el("div", {class: "ends", "aria-hidden": "true"}, el("span", null, `${duration(answer.window_seconds)} ago`), el("span", null, "now")));
  }

  async function load() {
    loaded = Date.now();
    try {
      const answer = await get(`/api/latency?window=${chosen}`);
      pools.replaceChildren(...answer.pools.map((pool) => card(pool, answer)));
      words.replaceChildren(...answer.pools.length > 0 ? [] : [el("div", {class: "empty"}, el("p", null, el("strong", null, `No job was taken by a runner in the ${chosen === "1h" ? "last hour" : "last day"}.`)),
        el("p", null, chosen === "1h" ? el("a", {href: "#/latency?window=24h"}, "Look at the last day") : "Figures appear when jobs start."))]);
    } catch (error) {
      words.replaceChildren(failure(error));
    }
  }

  load();
  return {name: "latency", title: "runner latency", root, update() {
    if (Date.now() - loaded > 10000) load();
  }};
}

// --- problems -------------------------------------------------------------------------------------------------

const counted = (count, noun) => `${count.toLocaleString()} ${noun}${count === 1 ? "" : "s"}`;
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

function showTroubles() {
  const box = document.getElementById("troubles");
  const found = state.status ? exportTroubles(state.status) : [];
  const text = found.map((part) => part.textContent).join("\n");
  if (text === shownTroubles) return; // keeps the user's selection
  shownTroubles = text;
  box.replaceChildren(...found);
  box.hidden = found.length === 0;
}

// --- the frame ------------------------------------------------------------------------------------------------

function refusedWords({requests_refused: {signature}, other_path: path}) {
  return signature + path > 0 ? `${counted(signature + path, "request")} refused, no delivery accepted` : "";
}

function showHealth() {
  const health = document.getElementById("health"), status = state.status;
  const troubles = [];
  if (state.isLost) troubles.push("connection lost, trying again");
  else if (!state.isLive && Date.now() - opened > ASK_MS) troubles.push(`no live updates come through (a proxy may hold them back); asking every ${ASK_MS / 1000} s`);
  if (status && !status.ready) troubles.push(`not storing: ${status.reason}`);
  const overflow = status && status.series_overflow;
  if (overflow && overflow.last_at && new Date(status.now) - new Date(overflow.last_at) < 3600e3) troubles.push(`metrics-max-series is too small: counted as “other”, for example, ${overflow.kind} ${overflow.example}`);
  const folded = status && status.pools_folded;
  if (folded && folded.last_at && new Date(status.now) - new Date(folded.last_at) < 3600e3) troubles.push(`more pools of runners than metrics-max-pools: jobs counted as “(one-off)”, for example, ${folded.example}`);
  const unreadable = (state.queue ? state.queue.unreadable : 0) + (state.runs ? state.runs.unreadable : 0);
  if (unreadable > 0) troubles.push(`${unreadable} stored entries left out: they cannot be read`);
  if (status && status.dead_letters > 0) troubles.push(counted(status.dead_letters, "dead letter"));
  if (status && status.export.state === "trouble") troubles.push(`export fails: ${words(status.export.category)}`);
  health.classList.toggle("bad", troubles.length > 0);
  if (troubles.length > 0) setText(health, troubles.join(" · "));
  else if (status) {
    const last = status.last_delivery_at ? `last delivery ${duration(Math.floor(age(status.last_delivery_at)))} ago` : refusedWords(status.deliveries) || "no delivery since the start";
    setText(health, `${state.isLive ? "live · " : ""}${last} · store ${bytes(status.store.used_bytes)} of ${bytes(status.store.max_bytes)}`);
  }
  if (status) setText(document.getElementById("version"), `ghatrace ${status.version}`);
}

function route() {
  const [path, query] = location.hash.replace(/^#/, "").split("?");
  const parameters = new URLSearchParams(query || "");
  const run = /^\/runs\/(\d+)\/(\d+)$/.exec(path);
  if (path === "main") return; // the skip link
  if (run) view = makeRun(run[1], run[2], parameters.get("server"));
  else if (path === "/runs") view = makeRuns(parameters);
  else if (path === "/latency") view = makeLatency(parameters);
  else view = makeNow();
  for (const entry of document.querySelectorAll("header nav a")) set(entry, {"aria-current": entry.dataset.view === view.name ? "page" : null});
  document.title = `${view.title} · ghatrace`;
  main.replaceChildren(view.root);
  scrollTo(0, 0);
  if (view.update) view.update();
  if (wantsSearch && view.search) view.search.focus();
  wantsSearch = false;
}

function show() {
  showHealth();
  showTroubles();
  if (view && view.update) view.update();
}

function follow() {
  const stream = new EventSource("/api/live");
  const hear = () => {
    Object.assign(state, {isLive: true, isLost: false, heard: Date.now()});
  };
  const take = (key) => (event) => {
    hear();
    state[key] = JSON.parse(event.data);
    learnClock(state[key].now);
    if (key === "status") show(); // the last of the three
  };
  for (const key of ["queue", "runs", "status"]) stream.addEventListener(key, take(key));
  stream.addEventListener("quiet", hear);
  stream.onerror = () => {
    Object.assign(state, {isLive: false, isLost: true});
    showHealth();
    // A browser does not reconnect by itself after a response that is not a stream.
    if (stream.readyState === EventSource.CLOSED) setTimeout(follow, 3000);
  };
}

// In addition to the stream: a proxy may hold back events indefinitely, while plain responses pass through any proxy.
async function ask() {
  if (state.heard > 0 && Date.now() - state.heard > QUIET_MS) state.isLive = false;
  if (state.isLive || document.hidden) return;
  try {
    const [queue, runs, status] = await Promise.all(["/api/queue?limit=100", "/api/runs?state=open&limit=50", "/api/status"].map(get));
    if (state.isLive) return; // events received since then are newer
    Object.assign(state, {queue, runs, status, isLost: false});
  } catch {
    state.isLost = true;
  }
  show();
}

addEventListener("hashchange", route);
addEventListener("keydown", (event) => {
  if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey || /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName)) return;
  event.preventDefault();
  wantsSearch = !view.search;
  if (view.search) view.search.focus();
  else location.hash = "#/runs";
});
setInterval(() => {
  if (document.hidden) return;
  tickAll();
  showHealth();
  if (view && view.tick) view.tick();
}, 1000);
setInterval(ask, ASK_MS);
route();
follow();
ask();
