// One run: what failed, and all attempts as waterfalls.
import {ageOf, clockTime, duration, el, link, name, resultWord} from "./dom.js";
import {failure, get} from "./model.js";
import {addressOf, pageOf, repository} from "./address.js";
import {comparison, failureLine, fillWaterfall, firstFailure, legend, makeWaterfall, sizeSwatches, unfold} from "./waterfall.js";

export function makeRun(id, attempt, server) {
  const head = el("div"), waterfall = makeWaterfall(), others = el("div"), words = el("div");
  const chart = el("div", {hidden: true}, waterfall, legend());
  const root = el("div", null, words, head, chart, others);
  let detail = null, compared = "", unfolded = false; // once, so that a user can fold it
  sizeSwatches(root);

  function copy(text, button) {
    const done = () => {
      button.textContent = "copied";
      setTimeout(() => { button.textContent = "copy"; }, 1500);
    };
    if (navigator.clipboard) navigator.clipboard.writeText(text).then(done, () => select(text));
    else select(text);
  }

  // Browsers deny the clipboard to pages over plain HTTP: then the ID is selected for copying.
  function select() {
    const range = document.createRange();
    range.selectNodeContents(head.querySelector("code"));
    getSelection().removeAllRanges();
    getSelection().addRange(range);
  }

  function renderHead() {
    const {run} = detail;
    const result = run.state === "open" ? "in progress" : resultWord(run.result);
    const took = run.state === "open" ? ageOf(run.started_at) : el("span", null, duration(run.duration_seconds));
    const button = el("button", {class: "plain", type: "button", "aria-label": "Copy the trace ID"}, "copy"), failed = firstFailure(detail);
    button.addEventListener("click", () => copy(run.trace_id, button));
    head.replaceChildren(
      el("p", {class: "dim small"}, el("a", {href: "#/runs"}, "Runs"), " / ", repository(run)),
      el("h1", null, name(run.workflow, "workflow"), run.run_number ? ` #${run.run_number}` : "", " ", el("span", {class: "dim"}, name(run.title, " "))),
      ...failed ? [failureLine(failed)] : [],
      el("p", null, el("span", {class: `state ${run.state === "open" ? "running" : run.result || ""}`}, result), " in ", took,
        run.event ? ` · ${run.event}` : "", run.branch ? " · " : "", run.branch ? name(run.branch) : null, run.actor ? " · by " : "", run.actor ? name(run.actor) : null,
        ` · started ${clockTime(run.started_at)}`),
      el("p", null, link(run.url, "on GitHub"), run.trace_url ? " · " : "", run.trace_url ? link(run.trace_url, "in the tracing backend") : null,
        " · trace ", el("code", null, run.trace_id), " ", button, " · ", el("a", {href: addressOf(run.run_id, run.run_attempt, run.server, "format=otlp")}, "OTLP JSON")));
    if (detail.attempts.length > 1) head.append(el("nav", {class: "tabs", "aria-label": "Attempts"}, ...detail.attempts.map((number) =>
      el("a", {href: pageOf({...run, run_attempt: number}), "aria-current": number === run.run_attempt ? "page" : null}, `attempt ${number}`))));
    const critical = detail.jobs.filter((job) => job.critical);
    if (critical.length > 0) head.append(el("p", {class: "small"}, "Critical path: ", ...critical.flatMap((job, i) => [i > 0 ? " → " : "", name(job.name)]),
      el("span", {class: "dim"}, " (underlined below): what has to get shorter for the run to get shorter.")));
  }

  // The attempts side by side, once for each set of them.
  async function compare() {
    const key = detail.attempts.join();
    if (detail.attempts.length < 2 || compared === key) return;
    compared = key;
    const all = await Promise.all(detail.attempts.slice(-5).map((number) => get(addressOf(id, number, detail.run.server))));
    others.replaceChildren(el("h2", null, "Attempts side by side"), comparison(all));
  }

  async function load() {
    try {
      detail = await get(addressOf(id, attempt, server));
      words.replaceChildren();
      renderHead();
      chart.hidden = false;
      fillWaterfall(waterfall, detail);
      const failed = firstFailure(detail);
      if (failed && !unfolded) unfold(waterfall, failed.job);
      unfolded = unfolded || failed !== null;
      await compare();
    } catch (error) {
      words.replaceChildren(failure(error));
    }
  }

  load();
  return {name: "runs", title: `run ${id}`, root, update() {
    if (detail && detail.run.state === "open") load();
  }, tick() {
    if (detail && detail.run.state === "open") fillWaterfall(waterfall, detail);
  }, isFinished: () => detail ? detail.run.state !== "open" : undefined};
}
