// Which pools are in trouble, worst first: the first thing that the page shows.
import {age, counted, duration, el, keyed, name, replaceIfChanged, serverNow, set, setSince, setText, tableHead} from "./dom.js";
import {poolAddress, poolPage} from "./address.js";
import {sparkline} from "./chart.js";
import {makePast} from "./past.js";
import {adviceOf, busyTitle, busyWords, ceilingWords, isReached, sentence, startWords, stateWords} from "./verdict.js";

const ASK_MS = 5000;         // least time between two requests for pools
const HISTORY_MS = 60000;    // and between two for the history of a pool: its slots are minutes
const SHOWN = 8, CHARTS = 5; // pools that are not folded, and those of them with a chart
const MOST = 100;            // pools of a part that unfolds
const SILENCE = 300;         // seconds without a delivery after which the page says so, if jobs are queued

// --- rows -----------------------------------------------------------------------------------------------------

const figure = (key, title, hint) => el("div", {"data-figure": key, title: hint}, el("dt", null, title), el("dd", null));

function makeRow(pool) {
  const oldest = figure("oldest", "oldest");
  oldest.lastElementChild.append(el("span", {"data-since": "", "data-warn": ""}));
  return el("article", {class: "trouble", "data-pool": pool.pool},
    el("div", {class: "what"}, el("h3", null, el("a", {href: poolPage(pool.pool)}, name(pool.pool))), el("p", {class: "verdict"}), el("p", {class: "dim small"})),
    el("dl", null, figure("queued", "queued"), oldest, figure("running", "running / most", "Running now, and the most that ran at once in 7 days"), figure("start", "last start")),
    el("div", {class: "spark"}));
}

// `said`: the answer's summary, whose action is not repeated.
function fillRow(row, pool, said) {
  const [, state, meaning] = row.firstElementChild.children;
  const value = (key) => row.querySelector(`[data-figure=${key}] dd`);
  set(state, {class: `verdict is-${pool.state}`});
  replaceIfChanged(state, stateWords(pool));
  const isSaid = JSON.stringify(pool.action) === JSON.stringify(said.action) || (said.kind === "ceiling" && pool.state === "ceiling");
  replaceIfChanged(meaning, adviceOf(pool, !isSaid));
  setText(value("queued"), pool.queued.toLocaleString());
  setSince(value("oldest").firstElementChild, pool.oldest_since);
  setText(value("running").previousElementSibling, busyTitle(pool));
  setText(value("running"), busyWords(pool));
  replaceIfChanged(value("start"), startWords(pool));
}

// Rows that follow each other say what to do once.
function hideRepeatedAdvice(rows) {
  let last = "";
  for (const row of rows) {
    const advice = row.firstElementChild.lastElementChild;
    set(advice, {hidden: advice.textContent === last});
    last = advice.textContent;
  }
}

// "and 1,900 more: 300 queued, 12 running"
function andMore(all, shown) {
  const sum = (key) => all.slice(shown.length).reduce((total, pool) => total + pool[key], 0);
  return `and ${(all.length - shown.length).toLocaleString()} more: ${sum("queued").toLocaleString()} queued, ${sum("running").toLocaleString()} running`;
}

function makeOthers() {
  const rows = el("tbody"), summary = el("summary");
  const left = el("p", {class: "dim small"});
  const root = el("details", {class: "others", ontoggle: fillRows}, summary, el("div", null, el("div", {class: "scroll", tabindex: "0", role: "group", "aria-label": "Other pools"}, el("table", null,
    tableHead(["pool"], ["queued", "number"], ["oldest", "number"], ["running", "number"], ["for approval", "number optional"]), rows)), left));
  let listed = [];

  // `some`: pools are in trouble, and these are the others. Those without open jobs come last.
  function fill(pools, some) {
    const isOpen = (pool) => pool.queued + pool.running + pool.waiting > 0, open = pools.filter(isOpen), idle = pools.filter((pool) => !isOpen(pool));
    listed = [...open, ...idle];
    const sum = (key) => open.reduce((total, pool) => total + pool[key], 0);
    const slow = open.filter((pool) => pool.state === "waiting").length, other = some ? "other " : "";
    setText(summary, open.length === 0 ? counted(idle.length, `${other}idle pool`)
      : `${counted(open.length, `${other}pool`)}${idle.length > 0 ? ` and ${idle.length.toLocaleString()} idle` : ""}: ${sum("queued").toLocaleString()} queued, ${sum("running").toLocaleString()} running${
        slow > 0 ? `; in ${slow.toLocaleString()} of them a job has waited for more than a minute` : ""}`);
    fillRows();
    root.hidden = pools.length === 0;
  }

  // Only while they are unfolded.
  function fillRows() {
    if (!root.open) return;
    const shown = listed.slice(0, MOST);
    keyed(rows, shown, (pool) => pool.pool, (pool) => el("tr", null, el("td", null, el("a", {href: poolPage(pool.pool)}, name(pool.pool)), " ",
      pool.groups.length > 0 ? el("span", {class: "dim small"}, "in ", name(pool.groups.join(", "))) : null), el("td", {class: "number"}),
    el("td", {class: "number"}, el("span", {"data-since": "", "data-warn": ""})), el("td", {class: "number"}), el("td", {class: "number optional"})), (row, pool) => {
      setText(row.children[1], pool.queued.toLocaleString());
      setSince(row.children[2].firstElementChild, pool.oldest_since);
      setText(row.children[3], pool.running.toLocaleString());
      setText(row.children[4], pool.waiting.toLocaleString());
    });
    setText(left, listed.length > shown.length ? andMore(listed, shown) : "");
    left.hidden = left.textContent === "";
  }
  return {root, fill};
}

// --- the part of the page -------------------------------------------------------------------------------------

// `get(path)` requests. `changed()` is called when an answer has arrived. `update(state)` shows what is known.
export function makePools(get, changed) {
  const past = makePast();
  const title = el("p", {class: "scope"}), action = el("p", {class: "action"}), ceilings = el("div"), sent = el("p", {class: "sent"}), list = el("div", {class: "troubled"});
  const more = el("details", {class: "others", hidden: true, ontoggle: () => answer && fillFolded()}, el("summary"), el("div", null, el("div", {class: "troubled"}), el("p", {class: "dim small"})));
  const others = makeOthers(), key = el("p", {class: "dim small key"}, el("span", {class: "queued"}, "queued"), " ", el("span", {class: "running"}, "running"), " in the last hour");
  const heading = el("h2", null, "Pools in trouble ", el("span", {class: "dim small"}, "the worst state first, then the longest in it"));
  const root = el("section", {"aria-label": "Pools", class: "pools-now"}, el("div", {class: "summary"}, title, action, ceilings, sent), heading, list, more, key, past.root, others.root);
  const histories = new Map(); // by pool: {asked, chart}
  let answer = null, folded = [], failed = "", asked = 0, took = 0, isAsking = false;

  async function ask() {
    if (isAsking || document.hidden || Date.now() - asked < Math.max(ASK_MS, 10 * took)) return;
    isAsking = true;
    asked = Date.now();
    try {
      const found = await get("api/pools");
      for (const pool of found.pools)
        pool.oldest_since = pool.oldest_wait_seconds === null ? null : new Date(serverNow() - 1000 * pool.oldest_wait_seconds).toISOString();
      answer = found;
      failed = "";
    } catch (error) {
      failed = error.message;
    }
    took = Date.now() - asked;
    isAsking = false;
    if (root.isConnected) changed();
  }

  async function askHistory(pool) {
    const known = histories.get(pool) || {asked: 0, chart: null};
    histories.set(pool, known);
    if (Date.now() - known.asked < HISTORY_MS) return;
    known.asked = Date.now();
    try {
      known.chart = sparkline((await get(poolAddress(pool, "/history?window=1h"))).slots);
    } catch {
      known.chart = null;
    }
    for (const row of list.children)
      if (row.dataset.pool === pool) showChart(row);
  }

  function showChart(row) {
    const {chart} = histories.get(row.dataset.pool) || {chart: null};
    if (row.lastElementChild.firstElementChild !== chart) row.lastElementChild.replaceChildren(...chart ? [chart] : []);
  }

  function fillList(parent, pools) {
    keyed(parent, pools, (pool) => pool.pool, makeRow, (row, pool) => fillRow(row, pool, answer.summary));
    hideRepeatedAdvice(parent.children);
  }

  // Only while they are unfolded.
  function fillFolded() {
    const [rows, left] = more.lastElementChild.children, shown = folded.slice(0, MOST);
    if (!more.open) return;
    fillList(rows, shown);
    setText(left, folded.length > shown.length ? andMore(folded, shown) : "");
    left.hidden = left.textContent === "";
  }

  function fillTroubled(troubled) {
    folded = troubled.slice(SHOWN);
    fillList(list, troubled.slice(0, SHOWN));
    fillFolded();
    setText(more.firstElementChild, `${folded.length.toLocaleString()} more ${folded.length === 1 ? "pool" : "pools"} in trouble`);
    more.hidden = folded.length === 0;
    heading.hidden = key.hidden = troubled.length === 0;
    heading.lastElementChild.hidden = troubled.length < 2;
    for (const row of [...list.children].slice(0, CHARTS)) {
      showChart(row);
      askHistory(row.dataset.pool);
    }
  }

  // Only if GitHub has sent less than what is open explains: the line beside the navigation says when it did. A long job alone causes no deliveries; a queue should.
  function fillSent({status, queue: {totals}}) {
    const last = status.last_delivery_at, silence = last === null ? null : Math.max(0, Math.floor(age(last)));
    const patience = totals.queued > 0 ? SILENCE : totals.running > 0 ? 6 * SILENCE : Infinity;
    set(sent, {class: silence > patience ? "sent bad" : "sent"});
    setText(sent, last === null ? "No delivery from GitHub was received since the start."
      : silence > patience ? `GitHub has sent nothing for ${duration(silence)}, though jobs are open: what is shown may be out of date.` : "");
    sent.hidden = sent.textContent === "";
  }

  return {
    root,
    isKnown: () => answer !== null || failed !== "",
    update(state) {
      ask();
      if (!answer) {
        setText(title, failed ? `The state of the pools is not known: ${failed}` : "");
        return;
      }
      const troubled = answer.pools.filter((pool) => pool.in_trouble), reached = answer.ceilings.filter(isReached);
      set(root, {"data-scope": answer.summary.kind});
      replaceIfChanged(title, sentence(answer.summary.parts));
      replaceIfChanged(action, sentence(answer.summary.action));
      action.hidden = answer.summary.action.length === 0;
      keyed(ceilings, reached, (ceiling) => ceiling.ceiling, () => el("p", {class: "ceiling"}), (part, ceiling) => replaceIfChanged(part, ceilingWords(ceiling)));
      fillSent(state);
      fillTroubled(troubled);
      past.fill(answer.past);
      others.fill(answer.pools.filter((pool) => !pool.in_trouble), troubled.length > 0);
      root.hidden = answer.pools.length === 0;
    },
    tick(state) {
      ask();
      if (state.status && state.queue) fillSent(state);
    },
  };
}
