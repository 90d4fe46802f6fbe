// A run's jobs as bars over time: the small ones of runs in progress, and the whole waterfall of one run.
import {age, clockTime, duration, el, keyed, labels, link, name, resultWord, seconds, serverNow, set, setText, tableHead} from "./dom.js";

export const PHASES = {waiting: "waiting for approval", queue: "in the queue", startup: "runner's start-up", execution: "execution"};
const MARKS = {success: "✓", failure: "✗", timeout: "✗", error: "✗", cancellation: "⊘", skip: "–"};
const FAULTS = {runner_lost: "runner lost", not_started: "not started: it never got a runner"};
const FAILED = new Set(["failure", "timeout", "error"]);

export function legend() {
  return el("ul", {class: "legend"}, ...Object.entries(PHASES).map(([phase, text]) =>
    el("li", null, el("span", {class: "swatch", "aria-hidden": "true"}, el("span", {class: `bar ${phase}`})), text)));
}

// Swatches are bars, too: their width is set here, because the page's policy forbids style attributes.
export function sizeSwatches(root) {
  for (const bar of root.querySelectorAll(".swatch .bar")) bar.style.width = "100%";
}

// --- the scale ---

function spanOf(run, jobs) {
  const starts = jobs.map((job) => job.created_at).concat(run.started_at).filter(Boolean).map(Date.parse);
  const from = starts.length > 0 ? Math.min(...starts) : serverNow();
  const ends = jobs.map((job) => job.ended_at).concat(run.ended_at).filter(Boolean).map(Date.parse);
  const to = run.state === "open" ? serverNow() : Math.max(from, ...ends);
  return {from, length: Math.max(1000, to - from)};
}

function place(bar, scale, start, end) {
  const left = (Date.parse(start) - scale.from) / scale.length;
  const right = ((end ? Date.parse(end) : serverNow()) - scale.from) / scale.length;
  bar.style.left = `${Math.min(100, Math.max(0, left * 100)).toFixed(3)}%`;
  bar.style.width = `${Math.max(0, (right - left) * 100).toFixed(3)}%`;
}

function describe(job) {
  return job.phases.map((phase) => `${PHASES[phase.name]} ${duration(phase.end ? seconds(phase.start, phase.end) : age(phase.start))}`).join(", ");
}

function total(job) {
  if (job.carried_over) return "carried over";
  if (job.result === "skip") return "skipped";
  if (!job.created_at) return "–";
  return duration(job.ended_at ? seconds(job.created_at, job.ended_at) : Math.floor(age(job.created_at)));
}

function fillTrack(track, job, scale) {
  keyed(track, job.phases, (phase) => phase.name, () => el("span", {class: "bar"}), (bar, phase) => {
    const failed = phase.name === "execution" && FAILED.has(job.result) ? " failed" : "";
    set(bar, {class: `bar ${phase.name}${failed}${phase.end ? "" : " growing"}`,
      title: `${PHASES[phase.name]}: ${clockTime(phase.start)}, ${duration(phase.end ? seconds(phase.start, phase.end) : age(phase.start))}`});
    place(bar, scale, phase.start, phase.end);
  });
}

// --- runs in progress ---

const openState = (job) => job.ended_unknown ? "ended, result unknown" : job.state;

export function fillRows(rows, run) {
  const scale = spanOf(run, run.jobs);
  keyed(rows, run.jobs, (job) => job.job_id, (job) => el("div", {class: "row"}, name(job.name),
    el("div", {class: "track", role: "img"}), el("span", {class: "total"})), (row, job) => {
    const [title, track, time] = row.children;
    setText(title, job.name || "(no name)");
    set(title, {title: job.name});
    set(track, {"aria-label": `${openState(job)}: ${describe(job)}`});
    setText(time, total(job));
    fillTrack(track, job, scale);
  });
}

// --- one run ---

const STEPS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 28800, 86400];

function axis(scale) {
  const track = el("div", {class: "track"});
  const most = innerWidth < 640 ? 2 : 7; // labels that fit
  const step = STEPS.find((candidate) => scale.length / 1000 / candidate <= most) || 86400;
  for (let at = 0; at < scale.length / 1000; at += step) {
    const tick = el("span", null, at === 0 ? "0" : duration(at));
    tick.style.left = `${at * 100000 / scale.length}%`;
    track.append(tick);
  }
  return el("div", {class: "row axis", "aria-hidden": "true"}, el("span"), track, el("span", {class: "head queue-time"}, "queue"), el("span", {class: "head"}, "total"));
}

function queueTime(job) {
  const phase = job.phases.find((candidate) => candidate.name === "queue");
  return phase ? duration(phase.end ? seconds(phase.start, phase.end) : Math.floor(age(phase.start))) : "";
}

function makeJob() {
  const button = el("button", {class: "job", type: "button", "aria-expanded": "false"}, el("span", {class: "mark"}), name("x"));
  const steps = el("div", {class: "steps", hidden: true});
  button.addEventListener("click", () => {
    const open = button.getAttribute("aria-expanded") !== "true";
    set(button, {"aria-expanded": String(open)});
    steps.hidden = !open;
  });
  return el("div", {class: "job-box"}, el("div", {class: "row"}, button, el("div", {class: "track", role: "img"}),
    el("span", {class: "total queue-time"}), el("span", {class: "total"})), steps);
}

function fillSteps(box, job, scale) {
  const facts = el("div", {class: "facts"}, link(job.url, "job on GitHub"),
    job.runner_name ? el("span", null, "on ", name(job.runner_name)) : null,
    el("span", null, ...labels(job.runner_labels, job.runner_group)),
    job.environment ? el("span", null, "environment ", name(job.environment)) : null,
    ...job.phases.map((phase) => el("span", null, `${PHASES[phase.name]} ${duration(phase.end ? seconds(phase.start, phase.end) : age(phase.start))} from ${clockTime(phase.start)}`)),
    job.failed_step ? el("span", null, "failed in ", name(job.failed_step)) : null,
    FAULTS[job.error_type] ? el("span", null, FAULTS[job.error_type]) : null,
    job.incomplete ? el("span", null, "GitHub never reported how it ended") : null);
  const rows = job.steps.map((step) => {
    const track = el("div", {class: "track"});
    if (step.start) {
      const bar = el("span", {class: `bar step${FAILED.has(step.result) ? " failed" : ""}${step.end ? "" : " growing"}`,
        title: `${clockTime(step.start)}, ${duration(seconds(step.start, step.end))}`});
      place(bar, scale, step.start, step.end);
      track.append(bar);
    }
    return el("div", {class: `row step-row${FAILED.has(step.result) ? " failed" : ""}`},
      el("span", {class: "name", title: step.name}, FAILED.has(step.result) ? "✗ " : "", `${step.number} `, name(step.name)), track,
      el("span", {class: "queue-time"}), el("span", {class: "total"}, step.start ? duration(step.end ? seconds(step.start, step.end) : age(step.start)) : step.result ? resultWord(step.result) : ""));
  });
  box.replaceChildren(facts, ...rows.length > 0 ? rows : [el("p", {class: "dim small"}, "No steps are known.")]);
}

function fillJob(box, job, scale) {
  const [row, steps] = box.children;
  const [button, track, queue, time] = row.children;
  const [mark, title] = button.children;
  const state = job.state === "finished" ? resultWord(job.result) : openState(job);
  set(box, {class: `job-box${job.critical ? " critical" : ""}`});
  set(mark, {class: `mark ${job.result || ""}`, title: state});
  setText(mark, job.state === "finished" ? MARKS[job.result] || "·" : "…");
  setText(title, job.name || "(no name)");
  set(title, {title: job.name});
  set(button, {"aria-label": `${job.name || "no name"}, ${state}, ${total(job)}${job.critical ? ", on the critical path" : ""}`});
  set(track, {"aria-label": describe(job) || total(job)});
  setText(queue, queueTime(job));
  setText(time, total(job));
  fillTrack(track, job, scale);
  if (job.critical && job.created_at && job.ended_at) {
    track.style.setProperty("--from", `${(Date.parse(job.created_at) - scale.from) * 100 / scale.length}%`);
    track.style.setProperty("--span", `${(Date.parse(job.ended_at) - Date.parse(job.created_at)) * 100 / scale.length}%`);
  }
  fillSteps(steps, job, scale);
}

// Arrow keys move from job to job.
function onArrow(event) {
  if (event.key !== "ArrowDown" && event.key !== "ArrowUp") return;
  const buttons = [...event.currentTarget.querySelectorAll("button.job")];
  const next = buttons.indexOf(document.activeElement) + (event.key === "ArrowDown" ? 1 : -1);
  if (!buttons.includes(document.activeElement) || !buttons[next]) return;
  event.preventDefault();
  buttons[next].focus();
}

export function makeWaterfall() {
  return el("div", {class: "waterfall", role: "group", "aria-label": "Jobs over time", onkeydown: onArrow}, el("div"), el("div"));
}

export function fillWaterfall(waterfall, detail) {
  const scale = spanOf(detail.run, detail.jobs);
  waterfall.firstElementChild.replaceChildren(axis(scale));
  keyed(waterfall.lastElementChild, detail.jobs, (job) => job.job_id, makeJob, (box, job) => fillJob(box, job, scale));
}

// Shows the steps of a job.
export function unfold(waterfall, job) {
  for (const box of waterfall.lastElementChild.children) {
    const button = box.querySelector("button.job");
    if (box.dataset.key === String(job.job_id) && button.getAttribute("aria-expanded") !== "true") button.click();
  }
}

// --- what failed first ---

// Of each failed job the step that the server names, if it names one: {job, step, end}. Jobs may have several steps of that name.
function failureOf(job) {
  const [step] = job.steps.filter((candidate) => job.failed_step && candidate.name === job.failed_step && FAILED.has(candidate.result))
    .sort((a, b) => Date.parse(a.end) - Date.parse(b.end) || a.number - b.number);
  return {job, step, end: Date.parse(step && step.end || job.ended_at) || Infinity};
}

// {job, step, others}: what ended first of what failed; others: how many more jobs failed. null: the run has not failed.
export function firstFailure({run, jobs}) {
  if (run.state !== "open" && !FAILED.has(run.result)) return null;
  const failures = jobs.filter((job) => FAILED.has(job.result)).map(failureOf);
  const [first] = [...failures].sort((a, b) => a.end - b.end);
  return first ? {...first, others: failures.length - 1} : null;
}

// "✗ test (3.14) › Run tests, after 7s"
export function failureLine({job, step, others}) {
  const length = step ? seconds(step.start, step.end) : seconds(job.started_at || job.created_at, job.ended_at);
  const how = FAULTS[job.error_type] || `${job.result === "timeout" ? "timed out " : ""}after ${duration(length)}`;
  const address = job.url && step ? `${job.url}#step:${step.number}:1` : job.url;
  return el("p", {class: "failed-first"}, el("span", {class: "mark failure"}, "✗"), " ",
    link(address, el("span", null, name(job.name), ...step ? [" › ", name(step.name)] : [])), `, ${how}`,
    others > 0 ? el("span", {class: "dim"}, `; ${others} more ${others === 1 ? "job" : "jobs"} failed`) : null);
}

// --- attempts side by side ---

// The same job has another id in each attempt, but the same name.
export function comparison(details) {
  const names = [...new Set(details.flatMap((detail) => detail.jobs.map((job) => job.name)))];
  const longest = Math.max(1, ...details.flatMap((detail) => detail.jobs.map((job) => seconds(job.created_at, job.ended_at) || 0)));
  const cell = (job) => {
    if (!job) return el("td", {class: "dim"}, "–");
    const length = seconds(job.created_at, job.ended_at);
    const bar = el("span", {class: `bar${FAILED.has(job.result) ? " failed" : ""}${job.carried_over ? " carried" : ""}`});
    bar.style.width = `${job.carried_over ? 20 : 100 * (length || 0) / longest}%`;
    return el("td", null, el("span", {class: `mark ${job.result || ""}`}, MARKS[job.result] || "·"), " ", total(job), el("div", {class: "track"}, bar));
  };
  return el("div", {class: "scroll"}, el("table", {class: "compare"},
    tableHead(["job"], ...details.map((detail) => [`attempt ${detail.run.run_attempt}`])),
    el("tbody", null, ...names.map((title) => el("tr", null, el("th", {scope: "row"}, name(title)), ...details.map((detail) => cell(detail.jobs.find((job) => job.name === title))))))));
}
