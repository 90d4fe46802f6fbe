// Which workflows fail, since when, and on how many branches: the worst first.
import {clock, counted, el, keyed, name, setText} from "./dom.js";
import {failure, get} from "./model.js";
import {pageOf, repository} from "./address.js";

const WINDOWS = [["1h", "last hour"], ["24h", "last day"], ["7d", "last week"], ["35d", "last 35 days"]];
const REFRESH_MS = 30000;
const FAULTS = {runner_lost: ["lost its runner", "lost their runners"], not_started: ["never got a runner", "never got a runner"]};

export function makeFailures(parameters) {
  const chosen = (WINDOWS.find(([value]) => value === parameters.get("window")) || WINDOWS[1])[0], title = WINDOWS.find(([value]) => value === chosen)[1];
  const tabs = el("nav", {class: "tabs", "aria-label": "Window"}, ...WINDOWS.map(([value, words]) =>
    el("a", {href: `#/failures?window=${value}`, "aria-current": value === chosen ? "page" : null}, words)));
  const sum = el("p", {class: "dim sum"}), faults = el("div", {class: "failures"}), groups = el("div", {class: "failures"}), words = el("div"), rest = el("p", {class: "dim", hidden: true});
  const root = el("div", {class: "failures-view"}, el("h1", null, "Failures"), tabs, sum, words, faults, groups, rest);
  let loaded = 0, asked = 0;

  const runLink = (run) => el("li", null, el("a", {href: pageOf(run)}, run.run_number ? `#${run.run_number}` : `run ${run.run_id}`), " ", name(run.branch, "no branch"), " ", clock(run.ended_at));
  const runList = (runs) => el("ul", {class: "recent small", "aria-label": "Last failed runs"}, ...runs.map(runLink));

  // What it means: one change, or something that all have in common.
  function verdict(group) {
    const since = group.failing_since && [" since ", clock(group.failing_since)], others = group.branches - group.workflow_branches_failing;
    const success = group.last_success_at ? ["; last success ", clock(group.last_success_at)] : ["; no success in this time"];
    if (group.everywhere && group.branches_failing === group.branches)
      return ["Fails on all ", counted(group.branches, "branch", "branches"), ...since, ": all ", counted(group.failed_since, "run"), ...success, ". Not one change: the workflow, a service or the runners."];
    if (group.everywhere)
      return ["Fails on ", String(group.branches_failing), " of ", counted(group.branches, "branch", "branches"), ...since, ": ", counted(group.failed_since, "run"), ", and the others fail elsewhere", ...success, "."];
    if (group.branches_failing > 0) {
      const where = group.branches_failing === 1 && group.recent.length > 0 ? ["Fails on ", name(branchOf(group), "no branch")] : ["Fails on ", String(group.branches_failing), " of ", counted(group.branches, "branch", "branches")];
      const pass = others > 0 ? `; ${counted(others, "other branch passes", "other branches pass")}` : "";
      // One run may have failed by chance.
      const guess = others > 0 && group.failed_since > 1 ? `, so ${group.branches_failing === 1 ? "that change" : "their changes"} may be the cause` : "";
      return [...where, ...since, ": ", counted(group.failed_since, "run"), ...success, pass, guess, "."];
    }
    return ["Fails no more: ", group.last_success_at ? "the last success " : "", group.last_success_at ? clock(group.last_success_at) : "", " is later than the last failure ", clock(group.last_failure_at), "."];
  }

  // Of its last run, since that is of the branch that fails if only one does.
  const branchOf = (group) => group.recent[0].branch;

  function fillGroup(article, group) {
    const content = JSON.stringify(group);
    if (article.dataset.content === content) return;
    article.dataset.content = content;
    article.className = `failure-group${group.everywhere ? " everywhere" : group.branches_failing > 0 ? " failing" : ""}`;
    const all = new URLSearchParams({repository: group.repository || "", workflow: group.workflow || "", result: "failure"});
    const what = group.job ? [name(group.job), ...group.step ? [" › ", name(group.step)] : group.error_type ? [` ${FAULTS[group.error_type][0]}`] : []] : [el("span", {class: "dim"}, group.looked_up ? "no job failed, but the run" : "what failed was not looked up")];
    article.replaceChildren(el("h2", null, el("span", {class: "where"}, repository(group), " ", name(group.workflow, "workflow")), el("span", {class: "what"}, ...what)),
      el("p", {class: "verdict"}, ...verdict(group)),
      el("p", {class: "small dim"}, `${counted(group.failed, "run")} of ${group.workflow_runs.toLocaleString("en")} failed here in the ${title}. `, el("a", {href: `#/runs?${all}`}, "All failed runs of the workflow")),
      runList(group.recent));
  }

  function fillFault(article, fault) {
    const content = JSON.stringify(fault);
    if (article.dataset.content === content) return;
    article.dataset.content = content;
    article.replaceChildren(el("h2", null, counted(fault.jobs, "job"), " ", FAULTS[fault.error_type][fault.jobs === 1 ? 0 : 1]),
      el("p", {class: "verdict"}, `In ${counted(fault.runs, "run")} of ${counted(fault.workflows, "workflow")}; the first `, clock(fault.first_at), ", the last ", clock(fault.last_at), ". The runners, not the code."),
      runList(fault.recent));
  }

  function describe(answer) {
    const looked = answer.more ? ` The ${answer.runs.toLocaleString("en")} runs that ended last were looked at, back to ` : "";
    sum.replaceChildren(`${counted(answer.failed, "run")} of ${answer.runs.toLocaleString("en")} failed in the ${title}.${looked}`, answer.more ? clock(answer.from) : "",
      answer.detailed < answer.failed ? ` What failed was looked up for the last ${answer.detailed}.` : "");
  }

  async function load() {
    const mine = ++asked;
    loaded = Date.now();
    try {
      const answer = await get(`api/failures?window=${chosen}`);
      if (mine !== asked) return;
      describe(answer);
      keyed(faults, answer.infrastructure, (fault) => fault.error_type, () => el("article", {class: "failure-group infrastructure"}), fillFault);
      const isWide = answer.infrastructure.some((fault) => fault.workflows > 1);
      if (isWide !== (faults.nextElementSibling === groups)) groups[isWide ? "before" : "after"](faults);
      keyed(groups, answer.failures, (group) => JSON.stringify([group.server, group.repository, group.workflow, group.looked_up, group.job, group.step, group.error_type]), () => el("article"), fillGroup);
      rest.hidden = answer.left_out === 0;
      setText(rest, `${answer.left_out} more are not shown.`);
      words.replaceChildren(...answer.failures.length > 0 ? [] : [el("div", {class: "empty"}, el("p", null, el("strong", null, `No run failed in the ${title}.`)))]);
    } catch (error) {
      if (mine === asked) words.replaceChildren(failure(error));
    }
  }

  load();
  return {name: "failures", title: "failures", root, update() {
    if (Date.now() - loaded > REFRESH_MS) load();
  }, close() {
    asked++;
  }};
}
