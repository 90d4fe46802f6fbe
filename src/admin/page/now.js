// What waits and runs now: the first view.
import {ageOf, el, keyed, name, setSince, setText, tableHead} from "./dom.js";
import {get, state} from "./model.js";
import {pageOf, repository} from "./address.js";
import {makeJobs} from "./jobs.js";
import {makePools} from "./pools.js";
import {whenSeen} from "./seen.js";
import {fillRows, legend, sizeSwatches} from "./waterfall.js";

const ROW_HEIGHT = 20; // of a job, at least
const DRAWN = 10;      // runs whose jobs are drawn at once; those of others when they come near the screen

function tile(title, key) {
  return el("div", {class: "tile", "data-tile": key}, el("dt", null, title), el("dd", null, "–"));
}

export function makeNow() {
  const tiles = el("dl", {class: "tiles"}, tile("queued for a runner", "queued"), tile("longest in the queue", "oldest"),
    tile("running", "running"), tile("waiting for approval", "waiting"), tile("runs in progress", "open_runs"));
  const runs = el("div", {class: "runs"}), jobs = makeJobs({pageOf, repository});
  const reports = el("tbody");
  const reportBox = el("div", {class: "scroll"}, el("table", null, tableHead(["job"], ["run"], ["runner", "optional"], ["what became of it"], ["received", "number"]), reports));
  const none = el("div", {class: "empty"});
  const known = new Map(), cards = whenSeen((card) => fillRun(card, known.get(card.dataset.key))); // runs, by page
  let shownWords = "", shownReports = "";
  const parts = {
    jobs: jobs.root,
    runs: el("section", {"aria-label": "Runs in progress"}, el("h2", null, "Runs in progress ", el("span", {class: "dim small"})), legend(), runs),
    reports: el("section", {"aria-label": "Reports of ARC", hidden: true}, el("h2", null, "Last reports of ARC"), reportBox),
  };
  const pools = makePools(get, () => update());
  // Hidden until all of it is known, so that nothing moves.
  const content = el("div", {hidden: true}, pools.root, tiles, none, parts.jobs, parts.runs, parts.reports);
  const root = el("div", null, el("h1", {class: "only-read"}, "Now"), content);
  sizeSwatches(root);

  function updateTiles({totals, oldest_queued_since: oldest}) {
    for (const box of tiles.children) {
      const value = box.lastElementChild, key = box.dataset.tile;
      if (key === "oldest") {
        if (!value.firstElementChild) value.replaceChildren(el("span", {"data-since": "", "data-warn": ""}));
        setSince(value.firstElementChild, oldest);
      } else setText(value, totals[key].toLocaleString());
    }
  }

  const fillRun = (card, run) => fillRows(card.children[1], run);

  // Jobs that are not in the list are in the run's own page.
  function fillRest(card, run) {
    const more = card.lastElementChild, left = (run.job_count || 0) - run.jobs.length;
    more.hidden = left <= 0;
    setText(more.firstElementChild, `${left.toLocaleString()} ${run.jobs.length > 0 ? "more " : ""}${left === 1 ? "job" : "jobs"}`);
  }

  function makeCard(run) {
    const card = el("article", {class: "run"}, el("h3", null,
      el("a", {href: pageOf(run)}, name(run.workflow, "workflow"), run.run_number ? ` #${run.run_number}` : ""),
      el("span", {class: "dim"}, repository(run)), el("span", {class: "dim optional"}, name(run.title || run.branch, " ")),
      el("span", {class: "dim right"}, ageOf(run.started_at))), el("div", {class: "rows"}), el("p", {class: "dim small more-jobs"}, el("a", {href: pageOf(run)})));
    cards.watch(card);
    return card;
  }

  function updateRuns(list, total) {
    setText(parts.runs.querySelector("h2 span"), total > list.length ? `the newest ${list.length.toLocaleString()} of ${total.toLocaleString()}` : "");
    known.clear();
    for (const run of list) known.set(pageOf(run), run);
    keyed(runs, list, pageOf, makeCard, (card, run) => {
      fillRest(card, run);
      card.children[1].style.minHeight = `${run.jobs.length * ROW_HEIGHT}px`; // whether they are drawn or not
      if (cards.seen.has(card) || list.indexOf(run) < DRAWN) fillRun(card, run);
    });
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
      for (const card of cards.seen) if (known.has(card.dataset.key)) fillRun(card, known.get(card.dataset.key));
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
