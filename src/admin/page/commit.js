// A commit: all its workflow runs over one time, each with its jobs, and what the commit waited for.
import {age, ageOf, clockTime, duration, el, keyed, link, name, replaceIfChanged, resultWord, serverNow, set, setText} from "./dom.js";
import {failure, get, missing} from "./model.js";
import {commitPage, pageOf, remember, repository} from "./address.js";
import {fillTicks} from "./axis.js";
import {FAILED, MARKS, describe, fillTrack, legend, openState, place, sizeSwatches, total} from "./waterfall.js";

const WAITS = {approval: "approval", queue: "in the queue", startup: "runner's start-up", execution: "execution", other: "between jobs"};
const ASK_AGAIN_MS = 2000;       // at least, while runs are open
const MAY_GROW_SECONDS = 600;    // after its last end another workflow may begin
const MOST_JOBS = 60;            // of a run that is unfolded: its own page has all of them

const keyOfRun = (run) => `${run.run_id}/${run.run_attempt}`;
const isCommit = (sha) => /^([0-9a-f]{40}|[0-9a-f]{64})$/i.test(sha || "");

// For the head of a run: null if its commit is not known.
export function commitLink(sha) {
  return isCommit(sha) ? el("a", {href: commitPage(sha), title: "All runs of this commit"}, el("code", null, sha.slice(0, 7))) : null;
}

// --- the scale ---

function scaleOf({first_at: first, ended_at: ended, state, runs}) {
  const starts = runs.map((run) => run.started_at).concat(first).filter(Boolean).map(Date.parse), from = starts.length > 0 ? Math.min(...starts) : serverNow();
  const ends = runs.flatMap((run) => run.jobs.map((job) => job.ended_at).concat(run.ended_at)).concat(ended).filter(Boolean).map(Date.parse);
  const to = state === "open" || runs.some((run) => run.state === "open") ? Math.max(serverNow(), ...ends) : Math.max(from, ...ends);
  return {from, length: Math.max(1000, to - from)};
}

// --- rows ---

function makeJobRow() {
  return el("div", {class: "commit-job"}, el("div", {class: "row"}, el("span", {class: "title"}, el("span", {class: "mark"}), name("x")), el("div", {class: "track", role: "img"}),
    el("span", {class: "total queue-time"}), el("span", {class: "total"})));
}

function fillJobRow(box, job, scale, isOnChain) {
  const [title, track, queue, time] = box.firstElementChild.children, [mark, text] = title.children;
  const words = job.state === "finished" ? resultWord(job.result) : openState(job), waited = job.phases.find((phase) => phase.name === "queue");
  set(box, {class: `commit-job${isOnChain ? " critical" : ""}`});
  set(mark, {class: `mark ${job.result || ""}`, title: words});
  setText(mark, job.state === "finished" ? MARKS[job.result] || "·" : "…");
  setText(text, job.name || "(no name)");
  set(text, {title: job.name});
  set(track, {"aria-label": `${words}: ${describe(job) || total(job)}${isOnChain ? ", the commit waited for it" : ""}`});
  setText(queue, waited ? duration(waited.end ? (Date.parse(waited.end) - Date.parse(waited.start)) / 1000 : Math.floor(age(waited.start))) : "");
  setText(time, total(job));
  fillTrack(track, job, scale);
  if (!isOnChain || !job.created_at) return;
  const end = job.ended_at ? Date.parse(job.ended_at) : serverNow();
  track.style.setProperty("--from", `${(Date.parse(job.created_at) - scale.from) * 100 / scale.length}%`);
  track.style.setProperty("--span", `${(end - Date.parse(job.created_at)) * 100 / scale.length}%`);
}

const runWords = (run) => run.state === "open" ? "running" : resultWord(run.result);
const lengthOf = (run) => run.state === "open" ? Math.floor(age(run.started_at)) : run.duration_seconds;

// Those to look at first, in the order in which they are listed.
function jobsToShow(run, chain) {
  if (run.jobs.length <= MOST_JOBS) return run.jobs;
  const rank = (job) => chain.has(job.job_id) ? 0 : FAILED.has(job.result) ? 1 : job.state !== "finished" ? 2 : 3;
  const shown = new Set([...run.jobs].sort((a, b) => rank(a) - rank(b)).slice(0, MOST_JOBS));
  return run.jobs.filter((job) => shown.has(job));
}

function factsOf(run, shown) {
  const count = run.job_count || run.jobs.length;
  return [el("a", {href: pageOf(run)}, run.newest_attempt ? "run" : `attempt ${run.run_attempt}`), link(run.url, "on GitHub"),
    el("span", null, `${runWords(run)}${run.event ? `, by ${run.event}` : ""}, started ${clockTime(run.started_at)}`),
    run.waited.approval_seconds > 0 ? el("span", null, `waited ${duration(run.waited.approval_seconds)} for approval`) : null,
    run.counted ? null : el("span", null, "scheduled: not because of this commit, so it does not count"),
    run.newest_attempt ? null : el("span", null, "an earlier attempt: its page has its jobs"),
    run.newest_attempt && shown < count ? el("span", null, `${shown} of ${count} jobs are shown: its page has all`) : null].filter(Boolean);
}

function makeRunRow(onFold) {
  const button = el("button", {class: "job", type: "button", "aria-expanded": "false"}, el("span", {class: "mark"}), name("x"));
  const jobs = el("div", {class: "commit-jobs", hidden: true}, el("div", {class: "facts"}), el("div"));
  button.addEventListener("click", onFold);
  return el("div", {class: "job-box commit-run"}, el("div", {class: "row"}, button, el("div", {class: "track", role: "img"}, el("span", {class: "bar"})),
    el("span", {class: "total queue-time"}), el("span", {class: "total"})), jobs);
}

function fillRunRow(box, run, scale, isUnfolded, chain) {
  const [row, jobs] = box.children, [button, track, queue, time] = row.children, [mark, text] = button.children, bar = track.firstElementChild;
  const title = `${run.workflow || "(no name)"}${run.run_attempt > 1 || !run.newest_attempt ? `, attempt ${run.run_attempt}` : ""}`;
  set(box, {class: `job-box commit-run${run.counted && run.newest_attempt ? "" : " aside"}`});
  set(mark, {class: `mark ${run.result || ""}`, title: runWords(run)});
  setText(mark, run.state === "open" ? "…" : MARKS[run.result] || "·");
  setText(text, title);
  set(text, {title});
  set(button, {"aria-expanded": String(isUnfolded), "aria-label": `${title}, ${runWords(run)}, ${duration(lengthOf(run))}`});
  set(track, {"aria-label": `${runWords(run)}, ${duration(lengthOf(run))} from ${clockTime(run.started_at)}`});
  set(bar, {class: `bar whole${FAILED.has(run.result) ? " failed" : ""}${run.state === "open" ? " growing" : ""}`});
  bar.hidden = !run.started_at;
  if (run.started_at) place(bar, scale, run.started_at, run.state === "open" ? null : run.ended_at);
  setText(queue, run.waited.queue_seconds > 0 ? duration(run.waited.queue_seconds) : "");
  setText(time, duration(lengthOf(run)));
  jobs.hidden = !isUnfolded;
  if (!isUnfolded) return;
  const shown = jobsToShow(run, chain);
  replaceIfChanged(jobs.firstElementChild, factsOf(run, shown.length));
  keyed(jobs.lastElementChild, shown, (job) => job.job_id, makeJobRow, (one, job) => fillJobRow(one, job, scale, chain.has(job.job_id)));
}

// Arrow keys move from run to run.
function onArrow(event) {
  if (event.key !== "ArrowDown" && event.key !== "ArrowUp") return;
  const buttons = [...event.currentTarget.querySelectorAll("button.job")], at = buttons.indexOf(document.activeElement);
  const next = buttons[at + (event.key === "ArrowDown" ? 1 : -1)];
  if (at < 0 || !next) return;
  event.preventDefault();
  next.focus();
}

// --- what it waited for ---

function chainOf({waited_for: waited, runs}) {
  return waited.chain.flatMap((step, i) => {
    const run = runs.find((one) => keyOfRun(one) === keyOfRun(step)), before = waited.chain[i - 1];
    const words = !step.job ? [name(step.workflow)] : before && keyOfRun(before) === keyOfRun(step) ? [name(step.job)] : [name(step.workflow), " › ", name(step.job)];
    const took = step.end ? (Date.parse(step.end) - Date.parse(step.start)) / 1000 : null;
    return [i > 0 ? " → " : "", run ? el("a", {href: pageOf(run)}, ...words) : el("span", null, ...words), took === null ? " (not over)" : ` ${duration(took)}`];
  });
}

function partsOf(waited) {
  return Object.entries(WAITS).filter(([part]) => waited[`${part}_seconds`] >= 1)
    .sort(([a], [b]) => (a === "other") - (b === "other") || waited[`${b}_seconds`] - waited[`${a}_seconds`])
    .map(([part, words]) => `${words} ${duration(waited[`${part}_seconds`])}`).join(", ");
}

// --- the runs of one repository ---

function commitUrl(sha, runs) {
  const address = runs.map((run) => run.url).find((url) => /\/actions\/runs\//.test(url || ""));
  return address ? address.replace(/\/actions\/runs\/.*$/, `/commit/${sha}`) : "";
}

function lengthWords({commit, state, result}) {
  const from = commit.event === "push" ? "from the push" : "from the first start";
  if (state === "open") return `since ${from.replace("from ", "")}`;
  return `${from} to the last ${result === "success" ? "green" : "end"}`;
}

// `unfolded`: the keys of runs whose jobs are shown; `onFold(key)` changes them.
function makeGroup(heading, unfolded, onFold) {
  const where = el("p", {class: "dim small"}), result = el("p", {class: "commit-result"}), about = el("p"), waited = el("p", {class: "commit-waited"}), chain = el("p", {class: "small"});
  const ticks = el("div", {class: "track"}), rows = el("div"), title = el(heading);
  const waterfall = el("div", {class: "waterfall", role: "group", "aria-label": "Runs over time", onkeydown: onArrow},
    el("div", {class: "row axis", "aria-hidden": "true"}, el("span"), ticks, el("span", {class: "head queue-time"}, "queue"), el("span", {class: "head"}, "total")), rows);
  const root = el("section", {class: "commit"}, where, title, result, about, waited, chain, waterfall);

  function fillHead(group) {
    const {commit, state, runs} = group, length = state === "open" ? ageOf(group.first_at) : el("span", null, duration(group.duration_seconds));
    const url = commitUrl(commit.sha, runs);
    replaceIfChanged(where, [el("a", {href: "#/runs"}, "Runs"), " / ", repository(commit)]);
    replaceIfChanged(title, [name(commit.title, "Commit"), " ", el("code", {title: commit.sha}, commit.sha.slice(0, 7))]);
    const words = state !== "open" ? resultWord(group.result) : group.result ? `${resultWord(group.result)}, still running` : "still running";
    result.replaceChildren(el("span", {class: `state ${group.result || (state === "open" ? "running" : "")}`}, words), " · ", el("strong", null, length), ` ${lengthWords(group)}`);
    replaceIfChanged(about, [commit.branch ? name(commit.branch) : "", commit.branch ? " · " : "", commit.actor ? "by " : "", commit.actor ? name(commit.actor) : "", commit.actor ? " · " : "",
      `started ${clockTime(group.first_at)}`, url ? " · " : "", url ? link(url, "on GitHub") : ""]);
  }

  function fillWaited(group) {
    const parts = group.waited_for ? partsOf(group.waited_for) : "";
    waited.hidden = !parts;
    chain.hidden = !group.waited_for;
    if (!group.waited_for) return;
    setText(waited, group.waited_for.chain.some((step) => step.job_id) ? `${group.state === "open" ? "It waits for" : "It waited for"}: ${parts}.` : "None of its jobs is known.");
    replaceIfChanged(chain, ["Along: ", ...chainOf(group), el("span", {class: "dim"}, " (underlined below): what has to get shorter.")]);
  }

  function fillRows(group) {
    const scale = scaleOf(group), onChain = new Set(group.waited_for ? group.waited_for.chain.map((step) => step.job_id) : []);
    fillTicks(ticks, 0, scale.length / 1000);
    keyed(rows, group.runs, keyOfRun, (run) => makeRunRow(() => onFold(keyOfRun(run))), (box, run) => fillRunRow(box, run, scale, unfolded.has(keyOfRun(run)), onChain));
  }

  return {root, fillRows, fill(group) {
    fillHead(group);
    fillWaited(group);
    fillRows(group);
  }};
}

// --- the view ---

function choices(answer) {
  return el("div", null, el("h1", null, "Several commits begin with these digits"), el("ul", null, ...answer.commits.map((commit) =>
    el("li", null, el("a", {href: commitPage(commit.sha)}, el("code", null, commit.sha)), " ", repository(commit), " ", el("span", {class: "dim"}, name(commit.title, " "))))),
  answer.more ? el("p", {class: "dim"}, "And more.") : null);
}

export function makeCommit(sha, parameters) {
  const words = el("div"), sections = el("div"), more = el("p", {class: "dim small", hidden: true}, "This commit has more runs: only the newest are shown."), chart = el("div", {hidden: true}, legend());
  const several = el("p", {hidden: true});
  const root = el("div", null, words, several, sections, more, chart), groups = [], given = parameters.get("open");
  const unfolded = new Set((given || "").split(",").filter(Boolean));
  let answer = null, isFirst = given === null, asked = 0, isAsking = false, isWanted = false;
  sizeSwatches(root);

  const all = () => answer && answer.commit ? [answer, ...answer.others] : [];
  const isOver = () => all().length > 0 && all().every((group) => group.state === "finished" && age(group.ended_at) > MAY_GROW_SECONDS);

  function fold(key) {
    if (!unfolded.delete(key)) unfolded.add(key);
    remember(new URLSearchParams({open: [...unfolded].join(",")}));
    all().forEach((group, i) => groups[i].fillRows(group));
  }

  function render() {
    if (!answer.commit) {
      sections.replaceChildren(choices(answer));
      return;
    }
    // Until the user chooses, the jobs are shown that the commit waited for.
    if (isFirst && answer.waited_for) answer.waited_for.chain.forEach((step) => unfolded.add(keyOfRun(step)));
    isFirst = false;
    all().forEach((group, i) => {
      if (!groups[i]) {
        groups[i] = makeGroup(i === 0 ? "h1" : "h2", unfolded, fold);
        sections.append(groups[i].root);
      }
      groups[i].fill(group);
    });
    several.hidden = groups.length < 2;
    setText(several, `${groups.length} repositories have runs of this commit: ${all().map((group) => group.commit.repository).join(", ")}.`);
    chart.hidden = false;
    more.hidden = !answer.more;
  }

  async function load() {
    if (isAsking || Date.now() - asked < ASK_AGAIN_MS) return;
    isAsking = true;
    isWanted = false;
    try {
      answer = await get(`api/commits/${encodeURIComponent(sha)}`);
      words.replaceChildren();
      render();
    } catch (error) {
      words.replaceChildren(answer === null && missing(error, ["run of commit ", el("code", null, name(sha))]) || failure(error));
    }
    isAsking = false;
    asked = Date.now();
  }

  load();
  return {name: "runs", title: `commit ${sha.slice(0, 7)}`, root, isFinished: () => answer ? isOver() || !answer.commit : undefined, update() {
    isWanted = answer !== null && answer.commit !== null && !isOver();
    if (isWanted) load();
  }, tick() {
    all().forEach((group, i) => {
      if (group.state === "open") groups[i].fillRows(group);
    });
    if (isWanted) load(); // what came too soon after the request before
  }};
}
