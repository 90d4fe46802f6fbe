// All open jobs of one pool, in each state the oldest first, page by page.
import {el, keyed, labels, name, replaceIfChanged, set, setSince, setText, tableHead} from "./dom.js";
import {failure, get} from "./model.js";
import {pageOf, poolAddress, repository} from "./address.js";
import {jobWords} from "./jobs.js";

const PAGE = 50, REFRESHED = 1000; // jobs of a page; of those that are asked for again, the API's most
const STATES = [["queued", "queued"], ["running", "running"], ["waiting", "waiting for approval"]];

// What is known after the first jobs were asked for again: behind them those that had been asked for before.
export function refreshed(jobs, answer, before) {
  if (answer.next === null || jobs.length <= answer.jobs.length) return {jobs: answer.jobs, next: answer.next};
  const fresh = new Set(answer.jobs.map((job) => `${job.server} ${job.job_id}`));
  return {jobs: [...answer.jobs, ...jobs.slice(answer.jobs.length).filter((job) => !fresh.has(`${job.server} ${job.job_id}`))], next: before};
}

// `pool`: its name. `chosen(state)` is called when the reader chooses another state.
export function makePoolJobs(pool, state, chosen) {
  const rows = el("tbody"), words = el("p", {class: "dim small", role: "status"}), more = el("button", {class: "plain", type: "button", hidden: true}, "More"), none = el("div", {class: "empty", hidden: true});
  const box = el("div", {class: "scroll", hidden: true}, el("table", null, tableHead(["job"], ["for", "number"], ["runner", "optional"]), rows));
  const buttons = STATES.map(([key, title]) => el("button", {class: "plain", type: "button", "data-state": key, onclick: () => choose(key)}, title, " ", el("strong")));
  const root = el("section", {"aria-label": "Jobs"}, el("h2", null, "Jobs"), el("p", {class: "choices"}, ...buttons), none, box, words, el("p", null, more));
  let shown = STATES.some(([key]) => key === state) ? state : "queued", jobs = [], next = null, asked = 0;

  const runnerOf = (job) => job.runner_name ? [name(job.runner_name)] : labels(job.runner_labels, job.runner_group);
  const makeRow = (job) => el("tr", null, el("td", null, ...jobWords(job, {pageOf, repository})),
    el("td", {class: "number"}, el("span", {"data-since": "", "data-warn": shown !== "running"})), el("td", {class: "optional"}, ...runnerOf(job)));

  function render() {
    keyed(rows, jobs, (job) => `${job.state} ${job.server} ${job.job_id}`, makeRow, (row, job) => setSince(row.children[1].firstElementChild, job.since));
    for (const button of buttons) set(button, {"aria-pressed": String(button.dataset.state === shown)});
    box.hidden = jobs.length === 0;
    none.hidden = jobs.length > 0;
    more.hidden = next === null;
    const title = STATES.find(([key]) => key === shown)[1];
    replaceIfChanged(none, [el("p", null, `No job of this pool is ${title}.`)]);
  }

  async function ask(question) {
    const mine = ++asked;
    const answer = await get(poolAddress(pool, `/jobs?state=${shown}&${question}`));
    return mine === asked ? answer : null; // null: a later request was sent
  }

  async function load() {
    const answer = await ask(`limit=${Math.min(REFRESHED, PAGE * Math.max(1, Math.ceil(jobs.length / PAGE)))}`);
    if (!answer) return;
    ({jobs, next} = refreshed(jobs, answer, next));
    render();
  }

  async function loadMore() {
    const before = jobs.length, hasFocus = document.activeElement === more;
    try {
      const answer = await ask(`limit=${PAGE}&cursor=${next}`);
      if (!answer) return;
      const known = new Set(jobs.map((job) => `${job.server} ${job.job_id}`));
      jobs.push(...answer.jobs.filter((job) => !known.has(`${job.server} ${job.job_id}`)));
      next = answer.next;
      render();
      if (hasFocus && more.hidden && before < jobs.length) rows.children[before].querySelector("a").focus();
      setText(words, `${jobs.length.toLocaleString()} of ${answer.total.toLocaleString()} are shown.`);
    } catch (error) {
      words.replaceChildren(failure(error));
    }
  }

  async function choose(key) {
    if (key === shown) return;
    shown = key;
    jobs = [];
    setText(words, "");
    chosen(key);
    try {
      await load();
    } catch (error) {
      words.replaceChildren(failure(error));
    }
  }

  more.addEventListener("click", loadMore);
  return {root, load, count(of) {
    for (const button of buttons) setText(button.querySelector("strong"), of[button.dataset.state].toLocaleString());
  }};
}
