// How long the jobs of a pool would have waited with more runners: a table that is made on demand. The daemon replays one
// question at a time, so they are asked one after the other.
import {clock, counted, duration, el, name, setText, tableHead} from "./dom.js";
import {poolAddress} from "./address.js";
import {failure, get} from "./model.js";

const BUSY = 503, TRIES = 60, PAUSE_MS = 1000; // while the daemon replays for somebody else
const SINCE = "7d";

// Numbers of runners to ask for, besides those that were busy: one and two more, a quarter more, twice as many, and the
// fewest that suffice.
export function runnersToAsk(was, fewest) {
  const wanted = [was + 1, was + 2, Math.ceil(was * 1.25), was * 2, fewest];
  return [...new Set(wanted)].filter((count) => count > 0 && count !== was).sort((a, b) => a - b);
}

// "The model explains the recorded p90 within 8 %", as `ghatrace whatif` says it.
export function trustWords(answer) {
  const {model, was} = answer;
  const fit = !model.explains ? "The model does not explain the recorded p90, so do not rely on it"
    : `The model explains the recorded p90 within ${model.error_percent} %`;
  return `${fit}: replayed with ${counted(model.replayed.runners, "runner")}, 90 % wait at most ${duration(model.replayed.p90_seconds)} instead of ${duration(was.p90_seconds)}.`;
}

// What the records show of the reason, where the model does not explain them.
function reasons({model, was}) {
  const found = [];
  if (model.shares_runners_with.length > 0)
    found.push(["Its runners also took jobs of ", ...model.shares_runners_with.slice(0, 3).flatMap((of, i) => [i > 0 ? ", " : "", name(of.pool, "a pool that is not listed"), ` (${counted(of.jobs, "job")})`]), "."]);
  if (model.few_jobs) found.push(["There are only few jobs: single ones decide how long 90 % waited."]);
  if (model.floor_seconds > 0) found.push([`9 of 10 jobs that became ready while fewer than ${was.runners} were busy waited at least ${duration(model.floor_seconds)}, as if a runner were made for each: more runners do not shorten that.`]);
  if (model.idle_percent > 0) found.push([`In ${model.idle_percent} % of the time in which jobs waited, fewer than ${was.runners} were busy: the number of runners changed, or they were held back by other pools or by a common limit.`]);
  return model.explains ? [] : found;
}

// `pool`: its name. `isAtCeiling()`: whether more runners would not help now.
export function makeWhatIf(pool, isAtCeiling) {
  const button = el("button", {class: "plain", type: "button"}, "Replay the last 7 days with more runners"), progress = el("span", {class: "dim small", role: "status"});
  const words = el("div"), rows = el("tbody"), box = el("div", {class: "scroll", hidden: true}, el("table", null, el("caption", null, "How long jobs waited, and would have waited"),
    tableHead(["runners"], ["half at most", "number"], ["90 % at most", "number"], ["99 % at most", "number optional"], ["still wait", "number optional"]), rows));
  const root = el("section", {"aria-label": "What if"}, el("h2", null, "With more runners"), el("p", {class: "asked"}, button, progress), words, box);
  let isOver = false, isBusy = false;

  async function ask(runners) {
    const question = poolAddress(pool, `/whatif?since=${SINCE}${runners === null ? "" : `&runners=${runners}`}`);
    for (let tries = 1; ; tries++) {
      try {
        return await get(question);
      } catch (error) {
        if (error.status !== BUSY || tries === TRIES || isOver) throw error;
        setText(progress, "The daemon replays for somebody else: waiting for it to end.");
        await new Promise((done) => setTimeout(done, PAUSE_MS));
      }
    }
  }

  const row = (title, waits) => rows.append(el("tr", null, el("th", {scope: "row"}, title), ...[waits.p50_seconds, waits.p90_seconds].map((value) => el("td", {class: "number"}, duration(value))),
    el("td", {class: "number optional"}, duration(waits.p99_seconds)), el("td", {class: "number optional"}, waits.waiting.toLocaleString())));

  function introduce(first) {
    const lines = [el("p", null, `${counted(first.jobs, "job")} became ready since `, clock(first.from), ". ",
      first.jobs > 0 ? `The fewest runners with which 90 % wait at most ${duration(first.target_seconds)}: ${first.fewest_runners.toLocaleString()}.` : "There is nothing to replay.")];
    if (isAtCeiling()) lines.unshift(el("p", null, el("strong", null, "More runners would not help now: "), "the pool is at a ceiling."));
    if (first.ceiling) lines.push(el("p", null, 'Its jobs count towards the ceiling "', name(first.ceiling), `" of ${first.ceiling_limit.toLocaleString()} running jobs: while that is reached, more runners of this pool do not help.`));
    if (first.jobs > 0) lines.push(el("p", {class: "dim"}, trustWords(first)), ...reasons(first).map((reason) => el("p", {class: "dim"}, ...reason)));
    words.replaceChildren(...lines);
  }

  async function replay() {
    setText(progress, "Replaying…");
    const first = await ask(null);
    if (isOver) return;
    introduce(first);
    if (first.jobs === 0) return;
    box.hidden = false;
    row(`as it was, at most ${first.was.runners.toLocaleString()} busy`, first.was);
    row(`${first.was.runners.toLocaleString()}, replayed`, first.model.replayed);
    const list = runnersToAsk(first.was.runners, first.fewest_runners);
    for (const [i, runners] of list.entries()) {
      setText(progress, `Replaying with ${counted(runners, "runner")}, ${i + 1} of ${list.length}…`);
      const answer = await ask(runners);
      if (isOver) return;
      row(runners.toLocaleString(), answer.would_be);
    }
  }

  button.addEventListener("click", async () => {
    if (isBusy) return;
    isBusy = true;
    button.setAttribute("aria-disabled", "true");
    words.replaceChildren();
    rows.replaceChildren();
    box.hidden = true;
    try {
      await replay();
    } catch (error) {
      words.append(failure(error));
    }
    setText(progress, "");
    button.removeAttribute("aria-disabled");
    isBusy = false;
  });

  return {root, close() {
    isOver = true;
  }};
}
