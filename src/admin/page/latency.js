// How long jobs waited for a runner, pool by pool.
import {duration, el, labels} from "./dom.js";
import {failure, get} from "./model.js";
import {chart} from "./chart.js";

export function makeLatency(parameters) {
  let chosen = parameters.get("window") === "24h" ? "24h" : "1h", loaded = 0;
  const pools = el("div", {class: "pools"}), words = el("div");
  const tabs = el("nav", {class: "tabs", "aria-label": "Window"}, ...[["1h", "last hour"], ["24h", "last day"]].map(([value, title]) =>
    el("a", {href: `#/latency?window=${value}`, "aria-current": value === chosen ? "page" : null}, title)));
  const root = el("div", null, el("h1", null, "Runner latency"), el("p", {class: "dim"}, "How long jobs that were ready to run waited for a runner, by what they asked for. Counted when the wait ends: jobs that still wait are not in it, but under Now."), tabs, words, pools);

  function fact(key, title, value) {
    return el("div", null, el("dt", {class: key}, title), el("dd", null, value));
  }

  function card(pool, answer) {
    const percentiles = `median ${duration(pool.p50)}, 90th percentile ${duration(pool.p90)}, 99th ${duration(pool.p99)}`;
    return el("article", {class: "pool"}, el("h2", null, ...labels(pool.runner_labels, pool.runner_group)),
      el("dl", null, fact("p50", "median", duration(pool.p50)), fact("p90", "90 %", duration(pool.p90)), fact("p99", "99 %", duration(pool.p99)), fact("plain", "longest", duration(pool.max)), fact("plain", "jobs", pool.count.toLocaleString())),
      chart(pool.slots, percentiles), el("div", {class: "ends", "aria-hidden": "true"}, el("span", null, `${duration(answer.window_seconds)} ago`), el("span", null, "now")));
  }

  async function load() {
    loaded = Date.now();
    try {
      const answer = await get(`api/latency?window=${chosen}`);
      pools.replaceChildren(...answer.pools.map((pool) => card(pool, answer)));
      words.replaceChildren(...answer.pools.length > 0 ? [] : [el("div", {class: "empty"}, el("p", null, el("strong", null, `No job was taken by a runner in the ${chosen === "1h" ? "last hour" : "last day"}.`)),
        el("p", null, chosen === "1h" ? el("a", {href: "#/latency?window=24h"}, "Look at the last day") : "Figures appear when jobs start."))]);
    } catch (error) {
      words.replaceChildren(failure(error));
    }
  }

  load();
  return {name: "latency", title: "runner latency", root, update() {
    if (Date.now() - loaded > 10000) load();
  }};
}
