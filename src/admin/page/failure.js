// What failed first in a run, or why it has no result of its own: its first line.
import {counted, duration, el, link, name, resultWord, seconds} from "./dom.js";
import {FAILED, FAULTS} from "./waterfall.js";

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


// "✗ test (3.14) › Run tests, after 7s; 3 more jobs failed · step on GitHub". `addressOf(job, step)`: of the job, or of its step, on the
// page; `open(job, step)` shows it.
function failureWords({job, step, others}, addressOf, open) {
  const length = step ? seconds(step.start, step.end) : seconds(job.started_at || job.created_at, job.ended_at);
  const how = FAULTS[job.error_type] || `${job.result === "timeout" ? "timed out " : ""}after ${duration(length)}`;
  const here = el("a", {href: addressOf(job, step)}, name(job.name), ...step ? [" › ", name(step.name)] : []);
  here.addEventListener("click", (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey) return; // a new tab or window
    event.preventDefault();
    open(job, step);
  });
  return [el("span", {class: "mark failure"}, "✗"), " ", here, `, ${how}`,
    others > 0 ? el("span", {class: "dim"}, `; ${others} more ${others === 1 ? "job" : "jobs"} failed`) : null,
    job.url ? el("span", {class: "dim"}, " · ", step ? link(`${job.url}#step:${step.number}:1`, "step on GitHub") : link(job.url, "job on GitHub")) : null];
}

// The first line of a run that failed or was cancelled, as nodes; none for others.
export function resultWords(detail, addressOf, open) {
  const {run, jobs} = detail, failed = firstFailure(detail);
  if (failed) return failureWords(failed, addressOf, open).filter(Boolean);
  if (FAILED.has(run.result)) {
    const why = jobs.length === 0 ? "none of its jobs is known" : "none of its jobs failed";
    return [el("span", {class: "mark failure"}, "✗"), ` The run ${run.result === "timeout" ? "timed out" : "failed"}, but ${why}`, el("span", {class: "dim"}, " · ", link(run.url, "on GitHub"))];
  }
  if (run.result !== "cancellation") return [];
  const count = (test) => jobs.filter((job) => test(job.result)).length;
  const parts = [[count((result) => result === "cancellation"), resultWord("cancellation")], [count((result) => FAILED.has(result)), "failed"]]
    .filter(([number]) => number > 0).map(([number, word]) => `${counted(number, "job")} ${word}`);
  return [el("span", {class: "mark"}, "⊘"), ` cancelled after ${duration(run.duration_seconds)}`, parts.length > 0 ? `: ${parts.join(", ")}` : ""];
}
