// The jobs that wait longest for a runner. Those that say the same are one row that unfolds.
import {poolPage} from "./address.js";
import {el, keyed, labels, link, matrixBase, name, replaceIfChanged, set, setSince, setText, tableHead} from "./dom.js";

const SHOWN = 20;   // rows, apart from unfolded ones
const MEMBERS = 50; // of an unfolded one; the page of its pool has all

const common = (jobs, key) => jobs.every((job) => key(job) === key(jobs[0]));

// [{key, jobs}], in the order of their first jobs. Jobs say the same if they have one state, labels, group, and name but for
// the matrix.
function group(list) {
  const groups = new Map();
  for (const job of list) {
    const key = JSON.stringify([job.state, matrixBase(job.name), [...job.runner_labels].sort(), job.runner_group]);
    if (groups.has(key)) groups.get(key).jobs.push(job);
    else groups.set(key, {key, jobs: [job]});
  }
  return [...groups.values()];
}

// What a job is, with links to its run and to GitHub, as nodes. `pageOf(job)`: the address of its run. `repository(job)`:
// its name, as an element.
export function jobWords(job, {pageOf, repository}) {
  return [el("a", {href: pageOf(job)}, name(job.name)), el("div", {class: "dim small"}, repository(job), " · ", name(job.workflow, "?"),
    ...job.branch ? [" · ", name(job.branch)] : [], ...job.ended_unknown ? [" · ended, result unknown"] : [],
    ...job.url ? [" · ", link(job.url, "on GitHub")] : [])];
}

// Its labels lead to its pool.
function labelsOf(job) {
  const parts = labels(job.runner_labels, job.runner_group);
  return job.pool ? [el("a", {href: poolPage(job.pool)}, ...parts)] : parts;
}

// `addresses`: as for jobWords().
export function makeJobs(addresses) {
  const {repository} = addresses;
  const rows = el("tbody"), count = el("span", {class: "dim small"}), unfolded = new Set();
  const root = el("section", {"aria-label": "Longest waiting jobs"}, el("h2", null, "Waiting longest ", count), el("div", {class: "scroll"}, el("table", null,
    tableHead(["job"], ["state"], ["for", "number"], ["runner labels", "optional"]), rows)));
  let queue = null;

  const cells = (job, first) => el("tr", null, el("td", null, ...first), el("td", null, el("span", {class: `state ${job.state}`}, job.state === "waiting" ? "waiting for approval" : job.state)),
    el("td", {class: "number"}, el("span", {"data-since": "", "data-warn": job.state === "queued" ? "" : null})), el("td", {class: "optional"}, ...labelsOf(job)));

  function makeJob({job, isMember}) {
    const row = cells(job, jobWords(job, addresses));
    if (isMember) set(row, {class: "member"});
    return row;
  }

  const jobRow = (job, isMember) => ({job, isMember, key: `${isMember} ${job.server} ${job.job_id}${job.state}`});

  function makeGroup({key, jobs}) {
    const title = matrixBase(jobs[0].name), button = el("button", {class: "fold", type: "button", "aria-expanded": "false"},
      name(title), " ", el("strong"), el("span", {class: "dim small sources"}));
    button.addEventListener("click", () => {
      if (!unfolded.delete(key)) unfolded.add(key);
      update(queue);
    });
    return cells(jobs[0], [button]);
  }

  // "acme/ml · Training", or "34 of acme/monorepo, 8 of 2 other repositories"
  function sources(jobs) {
    const counts = new Map(), server = (job) => `${job.server} ${job.repository}`;
    for (const job of jobs) counts.set(server(job), (counts.get(server(job)) || 0) + 1);
    if (counts.size === 1) return [repository(jobs[0]), " · ", common(jobs, (job) => job.workflow) ? name(jobs[0].workflow, "?") : "several workflows"];
    const [most, count] = [...counts].sort((a, b) => b[1] - a[1])[0], others = counts.size - 1;
    return [`${count} of `, repository(jobs.find((job) => server(job) === most)), `, ${jobs.length - count} of ${others === 1 ? "another repository" : `${others} other repositories`}`];
  }

  function fillGroup(row, {key, jobs}) {
    const button = row.querySelector("button");
    set(button, {"aria-expanded": String(unfolded.has(key))});
    setText(button.querySelector("strong"), `× ${jobs.length}`);
    replaceIfChanged(button.querySelector(".sources"), sources(jobs));
  }

  // The end of an unfolded group that has more members.
  const makeRest = ({rest}) => el("tr", {class: "member"}, el("td", {colspan: "4"}, el("a", {href: poolPage(rest)}, "All jobs of ", name(rest))));
  function membersOf({key, jobs}, hasMore) {
    const {pool} = jobs[0];
    return [...jobs.slice(0, MEMBERS).map((job) => jobRow(job, true)), ...pool && (hasMore || jobs.length > MEMBERS) ? [{rest: pool, key: `rest ${key}`}] : []];
  }

  function update(found) {
    queue = found;
    const waiting = queue.jobs.filter((job) => job.state === "queued"), groups = group(waiting).slice(0, SHOWN);
    const total = queue.totals.queued;
    for (const key of unfolded) if (!groups.some((one) => one.key === key)) unfolded.delete(key);
    const list = groups.flatMap((one) => one.jobs.length === 1 ? [jobRow(one.jobs[0], false)]
      : [one, ...unfolded.has(one.key) ? membersOf(one, total > waiting.length) : []]);
    keyed(rows, list, (item) => item.key, (item) => item.rest ? makeRest(item) : item.job ? makeJob(item) : makeGroup(item), (row, item) => {
      if (item.rest) return;
      if (!item.job) fillGroup(row, item);
      setSince(row.children[2].firstElementChild, (item.job || item.jobs[0]).since);
    });
    setText(count, total > waiting.length ? `the oldest ${waiting.length} of ${total.toLocaleString()}` : "");
    root.hidden = waiting.length === 0;
  }

  return {root, update};
}
