// How long jobs waited for a runner, pool by pool, the worst first; and what waits now, which these figures do not have.
import {age, clockTime, duration, el, keyed, labels, name, roundDuration, set, setSince, setText, timeZone} from "./dom.js";
import {failure, get, state} from "./model.js";
import {poolPage, remember} from "./address.js";
import {timeChart} from "./chart.js";

const WINDOWS = [["1h", "last hour"], ["6h", "last 6 hours"], ["24h", "last day"], ["7d", "last 7 days"], ["35d", "last 35 days"]];
const PAGE = 20; // pools that are drawn at first, and more at a time
const LINES = [["p50", "median"], ["p90", "90 %"], ["p99", "99 %"]].map(([key, title]) => ({key, title, kind: "line"}));
const LONG = 600; // seconds of a wait from which on its pool is named first
const FRESH_MS = 10000, FRESH_LONG_MS = 60000; // least time between two requests; of more than a day

// --- the time that is shown: {window} or {from, to}, as in the address ---

function readChoice(parameters) {
  const [from, to] = ["from", "to"].map((key) => parameters.get(key));
  if (from || to) return {from, to};
  const window = parameters.get("window");
  return {window: /^\d+[smhd]$/.test(window || "") ? window : "1h"};
}

function parametersOf(choice, isOwnScale) {
  const parameters = new URLSearchParams();
  for (const key of ["window", "from", "to"]) if (choice[key]) parameters.set(key, choice[key]);
  if (isOwnScale) parameters.set("scale", "own");
  return parameters;
}

const isLong = (choice) => !/^(\d+[sm]|[12]?\dh)$/.test(choice.window || "");
const isOver = (choice) => choice.to && Date.parse(choice.to) < Date.now();
const wordsOf = (choice) => choice.window ? `the ${(WINDOWS.find(([value]) => value === choice.window) || [null, `last ${choice.window}`])[1]}` : "this time";

// What a field for local times has, and what it means, in the zone of the page.
function fieldOf(time) {
  const at = Date.parse(time);
  return Number.isNaN(at) ? "" : new Date(at - (timeZone().isUtc ? 0 : 60e3 * new Date(at).getTimezoneOffset())).toISOString().slice(0, 16);
}
const timeOf = (field) => field ? new Date(timeZone().isUtc ? `${field}Z` : field).toISOString().replace(".000", "") : "";

function makeForm(choice, go) {
  const [from, to] = ["from", "to"].map((key) => el("input", {type: "datetime-local", name: key, value: fieldOf(choice[key]), required: key === "from"}));
  return el("form", {class: "search between", "aria-label": "Another time", onsubmit: (event) => {
    event.preventDefault();
    go({from: timeOf(from.value), to: timeOf(to.value)});
  }}, el("label", null, "from ", from), el("label", null, "to ", to), el("button", {class: "plain", type: "submit"}, "Show"));
}

// --- one pool ---

// What waits now, as `state.queue` has it; null: nothing.
function waitingIn(pool) {
  const row = state.queue && state.queue.pools.find((each) => each.pool === pool);
  return row && row.queued > 0 ? row : null;
}

// Its line stays if nothing waits, so that nothing moves.
function makeWaiting(where) {
  const count = el("strong"), since = el("strong", {"data-since": "", "data-warn": ""}), oldest = el("span", null, ", the oldest for ", since);
  return {root: el("p", {class: "still"}, where, count, oldest), show(row) {
    set(oldest, {hidden: row === null});
    setText(count, row === null ? "none" : row.queued.toLocaleString());
    if (row !== null) setSince(since, row.oldest_queued_since);
  }};
}

const isSameName = (pool) => [...pool.labels].sort().join().toLowerCase() === pool.pool.toLowerCase();
const heading = (pool) => el("h2", null, el("a", {href: poolPage(pool.pool)}, name(pool.pool)), ...isSameName(pool) ? [] : [" ", ...labels(pool.labels)]);

function makeCard(pool) {
  const facts = ["median", "90 %", "99 %", "longest", "jobs"].map(() => el("dd")), waiting = makeWaiting("waiting now: ");
  const chart = timeChart({slots: [], lines: LINES, unit: "seconds", label: `Waits in ${pool.pool}`});
  const card = el("article", {class: "pool"}, heading(pool), el("dl", null, ...["median", "90 %", "99 %", "longest", "jobs"].map((title, i) =>
    el("div", null, el("dt", null, title), facts[i]))), waiting.root, chart);
  card.show = (of, most) => {
    [...["p50", "p90", "p99", "max"].map((key) => duration(of[key])), of.count.toLocaleString()].forEach((words, i) => setText(facts[i], words));
    chart.show(of.slots, most);
  };
  card.showWaiting = () => waiting.show(waitingIn(pool.pool));
  return card;
}

// Pools in which jobs wait for long, which no figure of waits that ended shows: they may be dead. `answer.more`: pools that
// are not drawn may have figures.
function stuckPools(answer) {
  const drawn = new Map(answer.pools.map((pool) => [pool.pool, pool]));
  return (state.queue ? state.queue.pools : []).filter((row) => {
    const known = drawn.get(row.pool), waited = row.queued > 0 ? age(row.oldest_queued_since) : -1;
    return known || answer.more ? waited >= LONG && waited > 2 * (known ? known.max : 0) : waited >= 0;
  }).sort((a, b) => a.oldest_queued_since < b.oldest_queued_since ? -1 : 1);
}

function makeStuck(row) {
  const waiting = makeWaiting(": "), item = el("li", null, el("a", {href: poolPage(row.pool)}, name(row.pool)), ...waiting.root.childNodes);
  item.show = waiting.show;
  return item;
}

// --- the view ---

export function makeLatency(parameters) {
  const choice = readChoice(parameters);
  let isOwnScale = parameters.get("scale") === "own", limit = PAGE, loaded = 0, answer = null, isDrawn = false;
  const pools = el("div", {class: "pools"}), stuck = el("ul"), words = el("div"), when = el("p", {class: "dim small when"});
  const total = makeWaiting("Waiting now in all pools, and not in these figures: "), stuckBox = el("section", {class: "stuck", hidden: true, "aria-label": "Waiting for long"}, el("p", null, "Jobs wait here for long, which no figure below shows:"), stuck);
  const more = el("button", {class: "plain", type: "button", hidden: true, onclick() {
    limit += PAGE;
    load();
  }}, "More pools");
  const own = el("input", {type: "checkbox", name: "scale", checked: isOwnScale, onchange() {
    isOwnScale = own.checked;
    remember(parametersOf(choice, isOwnScale));
    showTabs();
    render();
  }});
  const tabs = el("nav", {class: "tabs", "aria-label": "Window"}, ...WINDOWS.map(([value, title]) => el("a", {"data-window": value, "aria-current": value === choice.window ? "page" : null}, title)));
  const root = el("div", null, el("h1", null, "Runner latency"), el("p", {class: "dim"}, "How long jobs waited for a runner, counted when the wait ends. The pool with the longest 90th percentile is first."),
    tabs, makeForm(choice, (between) => location.hash = `#/latency?${parametersOf(between, isOwnScale)}`),
    el("p", {class: "options"}, el("label", null, own, " each chart on its own scale")), when, total.root, stuckBox, words, pools, el("p", null, more));

  function showTabs() {
    for (const tab of tabs.children) set(tab, {href: `#/latency?${parametersOf({window: tab.dataset.window}, isOwnScale)}`});
  }

  function showWaiting() {
    const queued = state.queue ? state.queue.totals.queued : 0, left = stuckPools(answer);
    total.show(queued > 0 ? {queued, oldest_queued_since: state.queue.oldest_queued_since} : null);
    set(stuckBox, {hidden: left.length === 0});
    keyed(stuck, left.slice(0, PAGE), (pool) => pool.pool, makeStuck, (item, pool) => item.show(pool));
    for (const card of pools.children) card.showWaiting();
  }

  function showEmpty() {
    const next = WINDOWS[WINDOWS.findIndex(([value]) => value === choice.window) + 1];
    words.replaceChildren(...answer.pools.length > 0 ? [] : [el("div", {class: "empty"}, el("p", null, el("strong", null, `No job was taken by a runner in ${wordsOf(choice)}.`)),
      el("p", null, choice.window && next ? el("a", {href: `#/latency?${parametersOf({window: next[0]}, isOwnScale)}`}, `Look at the ${next[1]}`) : "Figures appear when jobs start."))]);
  }

  // Both at once, so that nothing moves: what has ended, and what still waits.
  function render() {
    if (answer === null || state.queue === null && !state.isLost) return;
    const most = isOwnScale ? undefined : answer.pools.reduce((sum, pool) => pool.slots.reduce((a, slot) => Math.max(a, slot.p99 || 0), sum), 0);
    keyed(pools, answer.pools, (pool) => pool.pool, makeCard, (card, pool) => card.show(pool, most));
    setText(when, `${clockTime(answer.from)} to ${clockTime(answer.to)}, in slots of ${roundDuration(answer.slot_seconds)}`);
    set(more, {hidden: !answer.more});
    setText(more, `More pools: ${answer.pools.length} of ${answer.pool_count.toLocaleString()} are shown`);
    showEmpty();
    showWaiting();
    isDrawn = true;
  }

  async function load() {
    loaded = Date.now();
    try {
      answer = await get(`api/latency?order=p90&limit=${limit}&${parametersOf(choice, false)}`);
      render();
    } catch (error) {
      words.replaceChildren(failure(error));
    }
  }

  showTabs();
  load();
  return {name: "latency", title: "runner latency", root, update() {
    if (isDrawn) showWaiting();
    else render();
    if (Date.now() - loaded > (isLong(choice) ? FRESH_LONG_MS : FRESH_MS) && !isOver(choice)) load();
  }};
}
