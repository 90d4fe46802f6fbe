// One pool: whether it keeps up and since when, who fills it, how it went, what more runners would change, and its jobs.
import {duration, el, keyed, labels, name, replaceIfChanged, serverNow, set, setSince, setText, tableHead} from "./dom.js";
import {failure, get, missing} from "./model.js";
import {poolAddress, remember, repository} from "./address.js";
import {timeChart} from "./chart.js";
import {makePoolJobs} from "./pool_jobs.js";
import {makePast} from "./past.js";
import {busyTitle, busyWords, ceilingWords, isReached, sentence, startWords, stateWords} from "./verdict.js";
import {makeWhatIf} from "./whatif.js";

const ASK_MS = 5000, HISTORY_MS = 60000; // least time between two requests for the pool; for its history
const WINDOWS = [["1h", "hour"], ["24h", "day"], ["7d", "week"], ["35d", "35 days"]];
const LINES = [{key: "queued_max", title: "queued, at most", kind: "area"}, {key: "running_max", title: "running, at most", kind: "line"}];

function decoded(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

// --- who fills it ---

// Rows of a table, and the rest of what was counted.
function usersWithRest(list, of) {
  const rest = {queued: of.queued, running: of.running, isRest: true};
  for (const user of list) {
    rest.queued -= user.queued;
    rest.running -= user.running;
  }
  return rest.queued + rest.running > 0 ? [...list, rest] : list;
}

function makeUsers(title, key, wordsOf) {
  const rows = el("tbody"), caption = el("caption");
  const root = el("div", {class: "scroll"}, el("table", null, caption, tableHead([title], ["queued", "number"], ["running", "number"]), rows));
  return {root, fill(pool) {
    const {counted: of} = pool, isAll = of.queued >= pool.queued && of.running >= pool.running;
    setText(caption, isAll ? `By ${title}` : `By ${title}, of the oldest ${of.queued.toLocaleString()} queued and ${of.running.toLocaleString()} running jobs`);
    const list = usersWithRest(pool[key], of);
    keyed(rows, list, (user) => user.isRest ? "rest" : JSON.stringify([user.server, user.repository, user.workflow]),
      (user) => el("tr", null, el("th", {scope: "row"}, ...user.isRest ? ["others"] : wordsOf(user)), el("td", {class: "number"}), el("td", {class: "number"})), (row, user) => {
        setText(row.children[1], user.queued.toLocaleString());
        setText(row.children[2], user.running.toLocaleString());
      });
  }};
}

// --- how it went ---

// `chosen(window)` is called when the reader chooses another one.
function makeHistory(pool, wanted, chosen) {
  let window = WINDOWS.some(([key]) => key === wanted) ? wanted : "24h", asked = 0;
  const buttons = WINDOWS.map(([key, title]) => el("button", {class: "plain", type: "button", "data-window": key, onclick: () => choose(key)}, title));
  const chart = timeChart({slots: [], lines: LINES, unit: "count", label: "Queued and running jobs over time"}), words = el("div");
  const root = el("section", {"aria-label": "History"}, el("h2", null, "How it went"), el("p", {class: "choices"}, ...buttons), chart, words);

  function press() {
    for (const button of buttons) set(button, {"aria-pressed": String(button.dataset.window === window)});
  }
  async function load() {
    const mine = asked = Date.now();
    try {
      const {slots} = await get(poolAddress(pool, `/history?window=${window}`));
      if (mine !== asked) return;
      chart.show(slots);
      replaceIfChanged(words, slots.some((slot) => slot.queued_max !== null) ? [] : [el("p", {class: "dim"}, "Nothing is known of this time.")]);
    } catch (error) {
      words.replaceChildren(failure(error));
    }
  }
  function choose(key) {
    window = key;
    press();
    chosen(key);
    load();
  }
  press();
  return {root, load, update() {
    if (Date.now() - asked >= HISTORY_MS) load();
  }};
}

// --- the view ---

const figure = (key, title, hint) => el("div", {"data-figure": key, title: hint}, el("dt", null, title), el("dd", null));

function makeFigures() {
  const root = el("dl", {class: "figures"}, figure("queued", "queued"), figure("oldest", "longest in the queue"), figure("waits", "half / 90 % / 99 % wait", "Of the queued jobs, up to now: half, 90 % and 99 % have waited for at most so long"),
    figure("running", "running / most", "Running now, and the most that ran at once in 7 days"), figure("start", "last start"), figure("waiting", "waiting for approval"));
  const value = (key) => root.querySelector(`[data-figure=${key}] dd`);
  value("oldest").append(el("span", {"data-since": "", "data-warn": ""}));
  return {root, fill(pool) {
    const {p50, p90, p99} = pool.open_wait_seconds;
    setText(value("queued"), pool.queued.toLocaleString());
    setSince(value("oldest").firstElementChild, pool.oldest_wait_seconds === null ? null : new Date(serverNow() - 1000 * pool.oldest_wait_seconds).toISOString());
    setText(value("waits"), pool.queued === 0 ? "–" : [p50, p90, p99].map((seconds) => duration(seconds === null ? null : Math.floor(seconds))).join(" / "));
    setText(value("running").previousElementSibling, busyTitle(pool));
    setText(value("running"), busyWords(pool));
    replaceIfChanged(value("start"), startWords(pool));
    setText(value("waiting"), pool.waiting.toLocaleString());
  }};
}

function ceilingLine(ceiling) {
  if (isReached(ceiling)) return ceilingWords(ceiling);
  return ['Its jobs count towards the ceiling "', name(ceiling.ceiling), `": ${ceiling.running.toLocaleString()} of ${ceiling.limit.toLocaleString()} run.`];
}

function makeVerdict() {
  const state = el("p", {class: "scope"}), action = el("p", {class: "action"}), meaning = el("p"), ceilings = el("div");
  const root = el("div", {class: "summary"}, state, action, meaning, ceilings);
  return {root, fill(pool) {
    set(root, {"data-state": pool.state});
    replaceIfChanged(state, pool.state === "ok" ? ["The pool keeps up"] : stateWords(pool));
    replaceIfChanged(action, sentence(pool.action, pool.pool));
    action.hidden = pool.action.length === 0;
    replaceIfChanged(meaning, pool.advice.length > 0 ? sentence(pool.advice, pool.pool) : [pool.queued > 0 ? "No job has waited for more than a minute." : "No job is queued."]);
    keyed(ceilings, pool.ceilings, (ceiling) => ceiling.ceiling, () => el("p"), (line, ceiling) => replaceIfChanged(line, ceilingLine(ceiling)));
  }};
}

const GONE = "had no job for a day, or for seven days since one started there; or, with many pools, its jobs are counted in (one-off)";

// `part`: its name as it is in the address.
export function makePool(part, parameters) {
  const pool = decoded(part), chosen = new URLSearchParams(parameters);
  const choose = (key) => (value) => {
    chosen.set(key, value);
    remember(chosen);
  };
  const title = el("h1", null, name(pool)), verdict = makeVerdict(), past = makePast(true), figures = makeFigures(), asks = el("p", {class: "small"}), words = el("div"), gone = el("div", {hidden: true});
  const users = [makeUsers("repository", "by_repository", (user) => [repository(user)]),
    makeUsers("workflow", "by_workflow", (user) => [name(user.workflow, "?"), el("div", {class: "dim small"}, repository(user))])];
  const history = makeHistory(pool, parameters.get("window"), choose("window")), jobs = makePoolJobs(pool, parameters.get("state"), choose("state"));
  const whatIf = makeWhatIf(pool, () => known !== null && known.state === "ceiling");
  const filled = el("section", {"aria-label": "Who fills it"}, el("h2", null, "Who fills it"), el("div", {class: "halves"}, ...users.map((of) => of.root)));
  // Hidden until all of it is known, so that nothing moves.
  const content = el("div", {hidden: true}, verdict.root, past.root, figures.root, filled, history.root, whatIf.root, jobs.root);
  const root = el("div", {class: "pool-page"}, el("p", {class: "dim small"}, el("a", {href: "#/"}, "Now"), " / pool"), title, asks, words, gone, content);
  let known = null, asked = 0, took = 0, isAsking = false;

  function render() {
    replaceIfChanged(asks, labels(known.labels, known.groups.join(", ")));
    verdict.fill(known);
    past.fill(known.past);
    figures.fill(known);
    for (const of of users) of.fill(known);
    filled.hidden = known.queued + known.running === 0;
    whatIf.root.hidden = known.pool === "(one-off)"; // a mixture, which cannot be replayed
    jobs.count(known);
  }

  function fail(error) {
    const absent = missing(error, ["pool ", name(pool)], GONE), isGone = absent !== null;
    gone.hidden = !isGone;
    if (isGone) replaceIfChanged(gone, [...absent.children]);
    words.replaceChildren(...isGone ? [] : [failure(error)]);
    if (isGone) title.hidden = content.hidden = asks.hidden = true;
  }

  async function ask() {
    if (isAsking || document.hidden || Date.now() - asked < Math.max(ASK_MS, 10 * took)) return;
    isAsking = true;
    asked = Date.now();
    try {
      const found = await get(poolAddress(pool));
      await Promise.all([jobs.load(), ...known === null ? [history.load()] : []]);
      known = found;
      render();
      words.replaceChildren();
      gone.hidden = true;
      title.hidden = content.hidden = asks.hidden = false;
      history.update();
    } catch (error) {
      fail(error);
    }
    took = Date.now() - asked;
    isAsking = false;
  }

  ask();
  return {name: "now", title: pool, root, update: ask, tick: ask, close: whatIf.close};
}
