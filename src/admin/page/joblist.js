// The jobs of one run over time. Legs of a matrix are one row that unfolds, failed ones first; bars are drawn when they are
// seen, and the steps of a job are asked for when it is unfolded: a run may have thousands.
import {age, clockTime, duration, el, keyed, labels, link, matrixBase, name, replaceIfChanged, resultWord, seconds, set, setText} from "./dom.js";
import {makeAxis} from "./axis.js";
import {whenSeen} from "./seen.js";
import {FAILED, FAULTS, MARKS, PHASES, describe, fillTrack, openState, place, spanOf, total} from "./waterfall.js";

const GROUP_FROM = 6;                // legs of a matrix that are one row
const MOST_ROWS = 500;               // that are made before more are asked for
const MOST_STEPS = 200;              // of one job, and failed ones
const ORDER = {failure: 0, timeout: 0, error: 0, cancellation: 2, skip: 3}; // of legs; others between

// --- groups ---------------------------------------------------------------------------------------------------

const keyOfJob = (job) => `job ${job.job_id}`;
const keyOfGroup = (job) => `group ${matrixBase(job.name)}`;
const rank = (job) => job.result in ORDER ? ORDER[job.result] : 1;

// [{key, job} or {key, jobs}], in the order of their first jobs.
function groupsOf(jobs) {
  const groups = new Map(), items = [];
  for (const job of jobs) {
    const key = keyOfGroup(job);
    if (groups.has(key)) groups.get(key).push(job);
    else groups.set(key, [job]);
  }
  for (const job of jobs) {
    const key = keyOfGroup(job), legs = groups.get(key);
    if (legs.length < GROUP_FROM) items.push({key: keyOfJob(job), job});
    else if (legs[0] === job) items.push({key, jobs: [...legs].sort((a, b) => rank(a) - rank(b))});
  }
  return items;
}

// "38 ✓ 2 ✗"
function counts(jobs) {
  const found = new Map();
  for (const job of jobs) {
    const mark = job.state === "finished" ? MARKS[job.result] || "·" : "…";
    found.set(mark, (found.get(mark) || 0) + 1);
  }
  return ["✓", "✗", "⊘", "–", "·", "…"].filter((mark) => found.has(mark)).map((mark) => [found.get(mark), mark]);
}

const earliest = (jobs, key) => jobs.map((job) => job[key]).filter(Boolean).sort()[0] || null;

// A group as if it were one job: from its first creation to its last end.
function summaryOf(jobs) {
  const isOpen = jobs.some((job) => job.state !== "finished"), failed = jobs.find((job) => FAILED.has(job.result));
  const created = earliest(jobs, "created_at"), started = earliest(jobs, "started_at");
  const ended = isOpen ? null : jobs.map((job) => job.ended_at).filter(Boolean).sort().pop() || null;
  const phases = [];
  if (created) phases.push({name: "queue", start: created, end: started || ended});
  if (started) phases.push({name: "execution", start: started, end: ended});
  const result = isOpen ? null : failed ? failed.result : jobs.every((job) => job.result === jobs[0].result) ? jobs[0].result : "success";
  // The bar of a group is red if all of its jobs failed.
  const bar = {phases, result: failed && jobs.every((job) => FAILED.has(job.result)) ? "failure" : null};
  return {bar, phases, result, state: isOpen ? "open" : "finished", created_at: created, ended_at: ended, critical: jobs.some((job) => job.critical)};
}

// --- steps ----------------------------------------------------------------------------------------------------

function facts(job) {
  return [link(job.url, "job on GitHub"),
    job.runner_name ? el("span", null, "on ", name(job.runner_name)) : null,
    el("span", null, ...labels(job.runner_labels, job.runner_group)),
    job.environment ? el("span", null, "environment ", name(job.environment)) : null,
    ...job.phases.map((phase) => el("span", null, `${PHASES[phase.name]} ${duration(phase.end ? seconds(phase.start, phase.end) : Math.floor(age(phase.start)))} from ${clockTime(phase.start)}`)),
    job.failed_step ? el("span", null, "failed in ", name(job.failed_step)) : null,
    FAULTS[job.error_type] ? el("span", null, FAULTS[job.error_type]) : null,
    job.incomplete ? el("span", null, "GitHub never reported how it ended") : null].filter(Boolean);
}

function makeStep(step, onChoose) {
  const title = el("a", {class: "name"}), row = el("div", {class: "row step-row"}, title, el("div", {class: "track"}, el("span", {class: "bar"})),
    el("span", {class: "queue-time"}), el("span", {class: "total"}));
  title.addEventListener("click", (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    onChoose();
  });
  return row;
}

function fillStep(row, step, scale, address, isChosen) {
  const [title, track, , time] = row.children, [bar] = track.children, isFailed = FAILED.has(step.result);
  set(row, {class: `row step-row${isFailed ? " failed" : ""}${isChosen ? " chosen" : ""}`});
  set(title, {href: address, title: step.name, "aria-current": isChosen ? "true" : null});
  replaceIfChanged(title, [`${isFailed ? "✗ " : ""}${step.number} `, name(step.name)]);
  setText(time, step.start ? duration(step.end ? seconds(step.start, step.end) : Math.floor(age(step.start))) : step.result ? resultWord(step.result) : "");
  set(bar, {class: `bar step${isFailed ? " failed" : ""}${step.end ? "" : " growing"}`, title: step.start ? `${clockTime(step.start)}, ${duration(seconds(step.start, step.end))}` : null});
  if (step.start) place(bar, scale, step.start, step.end);
  else bar.hidden = true;
}

// --- rows -----------------------------------------------------------------------------------------------------

const queueTime = (job) => {
  const phase = job.phases.find((candidate) => candidate.name === "queue");
  return phase ? duration(phase.end ? seconds(phase.start, phase.end) : Math.floor(age(phase.start))) : "";
};

function fillBars(box, job, scale) {
  const [, track, queue, time] = box.firstElementChild.children;
  set(track, {role: "img", "aria-label": describe(job) || total(job)});
  setText(queue, queueTime(job));
  setText(time, total(job));
  fillTrack(track, job.bar || job, scale);
  if (!job.critical || !job.created_at || !job.ended_at) return;
  const at = (time) => Math.min(100, Math.max(0, (Date.parse(time) - scale.from) * 100 / scale.length));
  track.style.setProperty("--from", `${at(job.created_at)}%`);
  track.style.setProperty("--span", `${at(job.ended_at) - at(job.created_at)}%`);
}

// A button's description are the figures of its bars.
function fillTitle(button, job, words) {
  const [mark, title] = button.children, isOver = job.state === "finished", state = isOver ? resultWord(job.result) : openState(job);
  set(mark, {class: `mark ${job.result || ""}`, title: state});
  setText(mark, isOver ? MARKS[job.result] || "·" : "…");
  setText(title, words);
  set(title, {title: words});
  set(button, {"aria-label": `${words}, ${state}, ${total(job)}${job.critical ? ", on the critical path" : ""}`, "aria-description": describe(job) || null});
}

// Its name is what it shows, with words for the marks.
function fillGroup(button, {jobs, summary}) {
  const [, , of] = button.children;
  fillTitle(button, summary, matrixBase(jobs[0].name) || "(no name)");
  replaceIfChanged(of, [`× ${jobs.length}: `, ...counts(jobs).flatMap(([count, mark]) =>
    [`${count} `, el("span", {role: "img", "aria-label": MARK_WORDS[mark], class: `mark${mark === "✗" ? " failure" : ""}`}, mark), " "])]);
  set(button, {"aria-label": null, "aria-description": `${total(summary)}${summary.critical ? ", on the critical path" : ""}`});
}
const MARK_WORDS = {"✓": "success", "✗": "failed", "⊘": "cancelled", "–": "skipped", "·": "no result", "…": "not over"};

// --- the list -------------------------------------------------------------------------------------------------

// `ask(id)`: a job with all its steps. `addressOf(job, step)`: on the page. `changed(parameters)`: what is shown, for the
// address. `parameters`: what was in it.
export function makeJobList({parameters, ask, addressOf, changed}) {
  const filter = el("input", {type: "search", name: "filter", value: parameters.get("filter") || "", placeholder: "Filter jobs  ( / )", "aria-label": "Filter jobs", autocomplete: "off"});
  const onlyFailed = el("input", {type: "checkbox", name: "failed"}), failedWords = el("span"), count = el("span", {class: "dim small"});
  const axis = makeAxis(parameters, () => {
    update();
    remember();
  });
  const rows = el("div", {class: "job-rows"}), more = el("button", {class: "plain", type: "button", hidden: true}), none = el("p", {class: "dim", hidden: true}, "No job matches.");
  const tools = el("form", {class: "search job-tools", role: "search", "aria-label": "Jobs"}, filter, el("label", null, onlyFailed, " ", failedWords), count, axis.buttons);
  const waterfall = el("div", {class: "waterfall", role: "group", "aria-label": "Jobs over time", onkeydown: onKey}, axis.root, rows, none, more);
  const root = el("div", null, tools, waterfall);
  const unfolded = new Set(), known = new Map(), items = new Map(); // known: by job {print, steps, error, isAsked, most}
  const chosen = {job: parameters.get("job"), step: Number(parameters.get("step")) || null};
  const {seen, watch} = whenSeen((box) => draw(box));
  let detail = null, scale = null, mostRows = MOST_ROWS;
  onlyFailed.checked = parameters.has("failed");

  function remember() {
    const {from, to} = axis.part(), wanted = {job: chosen.job, step: chosen.job && chosen.step, filter: filter.value.trim(), from, to}, found = new URLSearchParams();
    for (const [key, value] of Object.entries(wanted)) if (value !== null && value !== undefined && value !== "") found.set(key, value);
    if (onlyFailed.checked) found.set("failed", "");
    changed(found);
  }

  // --- which rows ---

  function list() {
    const words = filter.value.trim().toLowerCase().split(/\s+/).filter(Boolean);
    if (words.length === 0 && !onlyFailed.checked)
      return groupsOf(detail.jobs).flatMap((item) => item.jobs && unfolded.has(item.key) ? [item, ...item.jobs.map((job) => ({key: keyOfJob(job), job, isLeg: true}))] : [item]);
    return detail.jobs.filter((job) => (!onlyFailed.checked || FAILED.has(job.result)) && words.every((word) => (job.name || "").toLowerCase().includes(word)))
      .map((job) => ({key: keyOfJob(job), job}));
  }

  function update() {
    if (!detail) return;
    const all = list(), shown = all.slice(0, mostRows), failures = detail.jobs.filter((job) => FAILED.has(job.result)).length;
    scale = axis.fill(spanOf(detail.run, detail.jobs));
    items.clear();
    for (const item of shown) {
      if (item.jobs) item.summary = summaryOf(item.jobs);
      items.set(item.key, item);
    }
    keyed(rows, shown, (item) => item.key, make, fill);
    const isNarrowed = filter.value.trim() !== "" || onlyFailed.checked;
    setText(count, isNarrowed ? `${all.length} of ${detail.jobs.length} jobs` : `${detail.jobs.length} ${detail.jobs.length === 1 ? "job" : "jobs"}`);
    setText(failedWords, `failed only (${failures})`);
    none.hidden = all.length > 0;
    setText(none, isNarrowed ? "No job matches." : "No job is known.");
    more.hidden = all.length <= shown.length;
    setText(more, `${(all.length - shown.length).toLocaleString()} more rows`);
  }

  // --- one row ---

  function make(item) {
    const button = el("button", {class: "job", type: "button"}, el("span", {class: "mark"}), name("x"), item.jobs ? el("span", {class: "counts"}) : null);
    const box = el("div", {class: "job-box"}, el("div", {class: "row"}, button, el("div", {class: "track"}),
      el("span", {class: "total queue-time"}), el("span", {class: "total"})));
    button.addEventListener("click", () => toggle(item.key));
    watch(box);
    return box;
  }

  function fill(box, item) {
    const button = box.firstElementChild.firstElementChild, job = item.job || item.summary, isUnfolded = unfolded.has(item.key);
    set(box, {class: `job-box${job.critical ? " critical" : ""}${item.jobs ? " group" : ""}${item.isLeg ? " leg" : ""}`});
    set(button, {"aria-expanded": String(isUnfolded)});
    if (item.jobs) fillGroup(button, item);
    else fillTitle(button, job, job.name || "(no name)");
    if (seen.has(box)) fillBars(box, job, scale);
    if (item.job) fillSteps(box, job, isUnfolded);
  }

  function draw(box) {
    const item = items.get(box.dataset.key);
    if (item) fillBars(box, item.job || item.summary, scale);
  }

  function fillSteps(box, job, isUnfolded) {
    const old = box.children[1];
    if (!isUnfolded) {
      if (old) old.remove();
      return;
    }
    const part = old || el("div", {class: "steps"}, el("div", {class: "facts"}), el("div"), el("p", {class: "dim small"}), el("button", {class: "plain", type: "button", hidden: true}));
    const [about, list, words, button] = part.children, of = known.get(job.job_id) || {steps: null, most: MOST_STEPS};
    if (!old) {
      box.append(part);
      button.addEventListener("click", () => {
        known.get(job.job_id).most += 5 * MOST_STEPS;
        update();
      });
    }
    replaceIfChanged(about, facts(job));
    const steps = of.steps || [], isChosen = (step) => chosen.job === job.job_id && chosen.step === step.number;
    const shown = steps.map((step, i) => ({step, i})).filter(({step, i}) => i < of.most || isChosen(step) || FAILED.has(step.result)).slice(0, of.most + MOST_STEPS);
    const isMissing = of.steps !== null && chosen.job === job.job_id && chosen.step && !steps.some(isChosen);
    keyed(list, shown, ({step, i}) => `${i} ${step.number}`, ({step}) => makeStep(step, () => choose(job, step)), (row, {step}) =>
      fillStep(row, step, scale, addressOf(job, step), isChosen(step)));
    setText(words, of.error || (of.steps === null ? "The steps are asked for." : steps.length === 0 ? "No steps are known." : isMissing ? `No step ${chosen.step} is known.` : ""));
    words.hidden = words.textContent === "";
    button.hidden = shown.length === steps.length;
    setText(button, `${(steps.length - shown.length).toLocaleString()} more steps`);
  }

  // --- steps are asked for once, and again when their job has changed ---

  async function learn(job) {
    const print = JSON.stringify(job), of = known.get(job.job_id) || {print: "", steps: null, error: "", most: MOST_STEPS};
    known.set(job.job_id, of);
    if (of.print === print) return;
    of.print = print;
    try {
      of.steps = job.step_count === job.steps.length ? job.steps : (await ask(job.job_id)).steps;
      of.error = "";
    } catch (error) {
      Object.assign(of, {print: "", error: `The steps are not known: ${error.message}`});
    }
  }

  async function learnUnfolded() {
    for (const job of detail.jobs.filter((one) => unfolded.has(keyOfJob(one)))) await learn(job);
  }

  async function toggle(key) {
    const {job} = items.get(key), isFolded = unfolded.delete(key);
    if (!isFolded) unfolded.add(key);
    if (job) Object.assign(chosen, isFolded ? chosen.job === job.job_id ? {job: null, step: null} : {} : {job: job.job_id, step: null});
    update();
    remember();
    if (!job || isFolded) return;
    await learn(job);
    update();
  }

  function choose(job, step) {
    Object.assign(chosen, {job: job.job_id, step: step ? step.number : null});
    update();
    remember();
  }

  function unfold(job) {
    unfolded.add(keyOfGroup(job)).add(keyOfJob(job));
  }

  function scrollToChosen() {
    const box = [...rows.children].find((one) => one.dataset.key === `job ${chosen.job}`);
    if (box) (box.querySelector(".chosen") || box).scrollIntoView({block: "center"});
  }

  // --- keys ---

  // Arrows move from job to job and, where only a part of the time is shown, in time; + and − zoom, 0 shows all.
  function onKey(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const buttons = [...rows.querySelectorAll("button.job")], at = buttons.indexOf(document.activeElement);
    const moves = {ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: buttons.length - 1};
    const acts = {"+": () => axis.zoom(0.5), "=": () => axis.zoom(0.5), "-": () => axis.zoom(2), 0: () => axis.fit(), ArrowLeft: () => axis.pan(-0.25), ArrowRight: () => axis.pan(0.25)};
    if (at < 0 || !(event.key in acts) && !buttons[moves[event.key]]) return;
    event.preventDefault();
    if (event.key in acts) acts[event.key]();
    else buttons[moves[event.key]].focus();
  }

  filter.addEventListener("input", () => {
    mostRows = MOST_ROWS;
    update();
    remember();
  });
  onlyFailed.addEventListener("change", () => {
    update();
    remember();
  });
  tools.addEventListener("submit", (event) => event.preventDefault());
  more.addEventListener("click", () => {
    mostRows += MOST_ROWS;
    update();
  });

  return {
    root, search: filter,
    // Shows what is known. `first`: {job} of the failure that is unfolded unless the address names a job; or null.
    async show(found, first) {
      const isFirst = detail === null, named = found.jobs.find((job) => job.job_id === chosen.job);
      detail = found;
      if (isFirst && (named || first)) unfold(named || first.job);
      if (isFirst) await learnUnfolded(); // before anything is seen, so that nothing moves
      update();
      if (!isFirst) {
        await learnUnfolded();
        update();
      }
      return isFirst && chosen.job !== null && !named ? `Job ${chosen.job} is not in this attempt.` : "";
    },
    scrollToChosen,
    async open(job, step) {
      unfold(job);
      filter.value = "";
      onlyFailed.checked = false;
      choose(job, step);
      await learn(job);
      update();
      scrollToChosen();
    },
    // Ages grow where they are seen.
    tick() {
      if (detail) scale = axis.fill(spanOf(detail.run, detail.jobs));
      for (const box of seen) if (items.has(box.dataset.key)) fill(box, items.get(box.dataset.key));
    },
  };
}
