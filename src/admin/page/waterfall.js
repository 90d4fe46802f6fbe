// Jobs as bars over time: what a run and runs in progress have in common; and the attempts of a run.
import {age, clockTime, duration, el, keyed, name, resultWord, seconds, serverNow, set, setText, tableHead} from "./dom.js";

export const PHASES = {waiting: "waiting for approval", queue: "in the queue", startup: "runner's start-up", execution: "execution"};
export const MARKS = {success: "✓", failure: "✗", timeout: "✗", error: "✗", cancellation: "⊘", skip: "–"};
export const FAULTS = {runner_lost: "runner lost", not_started: "not started: it never got a runner"};
export const FAILED = new Set(["failure", "timeout", "error"]);

export function legend() {
  return el("ul", {class: "legend"}, ...Object.entries(PHASES).map(([phase, text]) =>
    el("li", null, el("span", {class: "swatch", "aria-hidden": "true"}, el("span", {class: `bar ${phase}`})), text)));
}

// Swatches are bars, too: their width is set here, because the page's policy forbids style attributes.
export function sizeSwatches(root) {
  for (const bar of root.querySelectorAll(".swatch .bar")) bar.style.width = "100%";
}

// --- the scale ---

export function spanOf(run, jobs) {
  const starts = jobs.map((job) => job.created_at).concat(run.started_at).filter(Boolean).map(Date.parse);
  const from = starts.length > 0 ? Math.min(...starts) : serverNow();
  const ends = jobs.map((job) => job.ended_at).concat(run.ended_at).filter(Boolean).map(Date.parse);
  const to = run.state === "open" ? serverNow() : Math.max(from, ...ends);
  return {from, length: Math.max(1000, to - from)};
}

export function place(bar, scale, start, end) {
  const [left, right] = [Date.parse(start), end ? Date.parse(end) : serverNow()].map((time) => (time - scale.from) / scale.length);
  const [first, last] = [left, right].map((part) => Math.min(1, Math.max(0, part)));
  bar.style.left = `${(first * 100).toFixed(3)}%`;
  bar.style.width = `${((last - first) * 100).toFixed(3)}%`;
  bar.hidden = right < 0 || left > 1; // outside of what is shown
}

export function describe(job) {
  return job.phases.map((phase) => `${PHASES[phase.name]} ${duration(phase.end ? seconds(phase.start, phase.end) : age(phase.start))}`).join(", ");
}

export function total(job) {
  if (job.carried_over) return "carried over";
  if (job.result === "skip") return resultWord(job.result);
  if (!job.created_at) return "–";
  return duration(job.ended_at ? seconds(job.created_at, job.ended_at) : Math.floor(age(job.created_at)));
}

export function fillTrack(track, job, scale) {
  keyed(track, job.phases, (phase) => phase.name, () => el("span", {class: "bar"}), (bar, phase) => {
    const failed = phase.name === "execution" && FAILED.has(job.result) ? " failed" : "";
    set(bar, {class: `bar ${phase.name}${failed}${phase.end ? "" : " growing"}`,
      title: `${PHASES[phase.name]}: ${clockTime(phase.start)}, ${duration(phase.end ? seconds(phase.start, phase.end) : age(phase.start))}`});
    place(bar, scale, phase.start, phase.end);
  });
}

// --- runs in progress ---

export const openState = (job) => job.ended_unknown ? "ended, result unknown" : job.state;

const LONG_NAME = 16; // characters, beyond which names and bars are not on one line on a phone

export function fillRows(rows, run) {
  const scale = spanOf(run, run.jobs);
  rows.classList.toggle("long-names", run.jobs.some((job) => (job.name || "").length > LONG_NAME));
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

// --- attempts side by side ---

const MOST_COMPARED = 100; // jobs; those that failed first

// The same job has another id in each attempt, but the same name.
export function comparison(details) {
  const byName = details.map((detail) => new Map([...detail.jobs].reverse().map((job) => [job.name, job])));
  const hasFailed = (title) => byName.some((jobs) => jobs.has(title) && FAILED.has(jobs.get(title).result));
  const all = [...new Set(details.flatMap((detail) => detail.jobs.map((job) => job.name)))];
  const names = all.length > MOST_COMPARED ? [...all.filter(hasFailed), ...all.filter((title) => !hasFailed(title))].slice(0, MOST_COMPARED) : all;
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
    el("tbody", null, ...names.map((title) => el("tr", null, el("th", {scope: "row"}, name(title)), ...byName.map((jobs) => cell(jobs.get(title))))))),
  all.length > names.length ? el("p", {class: "dim small"}, `and ${(all.length - names.length).toLocaleString()} more jobs`) : null);
}
