// One run: what failed, and its jobs over time.
import {clockTime, duration, el, keyed, link, name, replaceIfChanged, resultWord, setSince} from "./dom.js";
import {failure, get, missing} from "./model.js";
import {addressOf, pageOf, remember, repository} from "./address.js";
import {commitLink} from "./commit.js";
import {firstFailure, resultWords} from "./failure.js";
import {makeJobList} from "./joblist.js";
import {comparison, legend, sizeSwatches} from "./waterfall.js";

// Least time between two requests for a run that is in progress: for each of its jobs, and at all. More if they take long.
const ASK_JOB_MS = 6, ASK_MS = 1000;
const STEPS = "steps=failed"; // of each job only the one that failed: the others are asked for when it is unfolded

const ENDS = 6; // jobs at each end of a long path

// "lint → test → … 12 jobs … → deploy"
function pathWords(jobs) {
  const left = jobs.length - 2 * ENDS, isLong = left > 1;
  const parts = isLong ? [...jobs.slice(0, ENDS), null, ...jobs.slice(-ENDS)] : jobs;
  return parts.flatMap((job, i) => [i > 0 ? " → " : "", job ? name(job.name) : `… ${left} jobs …`]);
}

export function makeRun(id, attempt, parameters) {
  const server = parameters.get("server");
  const words = el("div"), others = el("div"), unknown = el("p", {class: "dim", hidden: true}), code = el("code"), took = el("span");
  const parts = {path: el("p", {class: "dim small"}), title: el("h1"), failed: el("p", {class: "failed-first"}), state: el("p"), links: el("p"), attempts: el("nav", {class: "tabs", "aria-label": "Attempts"}), critical: el("p", {class: "small"})};
  const copyButton = el("button", {class: "plain", type: "button", "aria-label": "Copy the trace ID"}, "copy");
  const jobs = makeJobList({
    parameters, changed: (found) => {
      if (server) found.set("server", server);
      remember(found);
    },
    ask: async (job) => (await get(addressOf(id, attempt, server, `job=${job}`))).jobs[0],
    addressOf: addressOfStep,
  });
  const content = el("div", {hidden: true}, ...Object.values(parts), unknown, jobs.root, legend());
  const root = el("div", null, words, content, others);
  let detail = null, compared = "", asked = 0, wait = 0, isAsking = false, isLate = false;
  sizeSwatches(root);
  copyButton.addEventListener("click", copy);

  function addressOfStep(job, step) {
    const page = pageOf(detail.run), query = `job=${job.job_id}${step ? `&step=${step.number}` : ""}`;
    return `${page}${page.includes("?") ? "&" : "?"}${query}`;
  }

  function copy() {
    const done = () => {
      copyButton.textContent = "copied";
      setTimeout(() => { copyButton.textContent = "copy"; }, 1500);
    };
    if (navigator.clipboard) navigator.clipboard.writeText(detail.run.trace_id).then(done, select);
    else select();
  }

  // Browsers deny the clipboard to pages over plain HTTP: then the ID is selected for copying.
  function select() {
    const range = document.createRange();
    range.selectNodeContents(code);
    getSelection().removeAllRanges();
    getSelection().addRange(range);
  }

  // Only what has changed is replaced, so that focus and selection stay.
  function renderHead() {
    const {run} = detail, isOpen = run.state === "open", critical = detail.jobs.filter((job) => job.critical), failed = resultWords(detail, addressOfStep, jobs.open);
    replaceIfChanged(parts.path, [el("a", {href: "#/runs"}, "Runs"), " / ", repository(run)]);
    replaceIfChanged(parts.title, [name(run.workflow, "workflow"), run.run_number ? ` #${run.run_number}` : "", " ", el("span", {class: "dim"}, name(run.title, " "))]);
    replaceIfChanged(parts.failed, failed);
    if (isOpen) setSince(took, run.started_at);
    else {
      delete took.dataset.since;
      took.textContent = duration(run.duration_seconds);
    }
    const state = isOpen ? "in progress" : resultWord(run.result), about = [run.event, run.branch, commitLink(run.sha) && run.sha, run.actor && `by ${run.actor}`, `started ${clockTime(run.started_at)}`].filter(Boolean);
    if (parts.state.dataset.shown !== JSON.stringify([state, about])) {
      parts.state.replaceChildren(el("span", {class: `state ${isOpen ? "running" : run.result || ""}`}, state), " in ", took, ...about.flatMap((part) => [" · ", part === run.sha ? commitLink(part) : name(part)]));
      parts.state.dataset.shown = JSON.stringify([state, about]);
    }
    if (code.textContent !== run.trace_id) {
      code.textContent = run.trace_id;
      parts.links.replaceChildren(link(run.url, "on GitHub"), ...run.trace_url ? [" · ", link(run.trace_url, "in the tracing backend")] : [],
        " · trace ", code, " ", copyButton, " · ", el("a", {href: addressOf(run.run_id, run.run_attempt, run.server, "format=otlp")}, "OTLP JSON"));
    }
    keyed(parts.attempts, detail.attempts.length > 1 ? detail.attempts : [], (number) => number, (number) =>
      el("a", {href: pageOf({...run, run_attempt: number}), "aria-current": number === run.run_attempt ? "page" : null}, `attempt ${number}`), () => {});
    replaceIfChanged(parts.critical, critical.length === 0 ? [] : ["Critical path: ", ...pathWords(critical),
      el("span", {class: "dim"}, " (underlined below): what has to get shorter for the run to get shorter.")]);
    for (const part of [parts.failed, parts.attempts, parts.critical]) part.hidden = part.childNodes.length === 0;
  }

  // The attempts side by side, once for each set of them.
  async function compare() {
    const key = detail.attempts.join();
    if (detail.attempts.length < 2 || compared === key) return;
    compared = key;
    const all = await Promise.all(detail.attempts.slice(-5).map((number) => get(addressOf(id, number, detail.run.server, STEPS))));
    others.replaceChildren(el("h2", null, "Attempts side by side"), comparison(all));
  }

  async function load() {
    const isFirst = detail === null;
    isAsking = true;
    isLate = false;
    asked = Date.now();
    try {
      detail = await get(addressOf(id, attempt, server, STEPS));
      wait = Math.max(ASK_MS, ASK_JOB_MS * detail.jobs.length, 10 * (Date.now() - asked));
      const notThere = await jobs.show(detail, firstFailure(detail));
      words.replaceChildren();
      renderHead();
      if (isFirst) {
        unknown.textContent = notThere;
        unknown.hidden = notThere === "";
        content.hidden = false;
        jobs.scrollToChosen();
      }
      await compare();
    } catch (error) {
      words.replaceChildren(detail === null && missing(error, [`attempt ${attempt} of run ${id}`]) || failure(error));
    }
    isAsking = false;
  }

  function loadIfDue() {
    if (!detail || detail.run.state !== "open" || isAsking || !isLate || Date.now() - asked < wait) return;
    load();
  }

  load();
  return {name: "runs", title: `run ${id}`, root, search: jobs.search, update() {
    isLate = true;
    loadIfDue();
  }, tick() {
    loadIfDue();
    if (detail && detail.run.state === "open" && !isAsking) jobs.tick();
  }, isFinished: () => detail ? detail.run.state !== "open" : undefined};
}
