// What the server says about pools, as nodes: the same words on the first screen, on the page of a pool and in the terminal.
import {clock, counted, el, link, name} from "./dom.js";
import {poolPage} from "./address.js";

// A sentence that the server sends in parts: names of pools become links, times are in the zone that the reader chose. `own`: the
// pool that it is about, which needs no link.
export function sentence(parts, own) {
  return parts.map((part) => {
    if (part.time) return clock(part.time);
    if (part.pool) return part.pool === own ? name(part.pool) : el("a", {href: poolPage(part.pool)}, name(part.pool));
    if (part.url) return link(part.url, "its runs on GitHub");
    return part.text === undefined ? name(part.repository || part.ceiling || part.workflow) : part.text;
  });
}

export const isReached = (ceiling) => ceiling.since !== null;

// What to do first, and then. Without `saysAction`, only then.
export const adviceOf = (pool, saysAction) => [...saysAction ? [...sentence(pool.action, pool.pool), " "] : [], ...sentence(pool.advice, pool.pool)];

// "dead: nothing has started since 14:02", "held back by the ceiling "hosted" since 14:02"
export function stateWords(pool) {
  const what = pool.state === "ceiling" ? ['held back by the ceiling "', name(pool.ceiling), '"'] : [pool.state];
  if (!pool.trouble_since) return what;
  return [...what, pool.state === "dead" && pool.last_start_at ? ": nothing has started since " : " since ", clock(pool.trouble_since)];
}

// "40 / 48": running now, and the most that ran at once in 7 days. At a ceiling the most says nothing.
export const busyTitle = (pool) => pool.state === "ceiling" ? "running" : "running / most";
export const busyWords = (pool) => pool.state === "ceiling" ? pool.running.toLocaleString() : `${pool.running.toLocaleString()} / ${pool.busy_max_week === null ? "?" : pool.busy_max_week.toLocaleString()}`;
export const startWords = (pool) => pool.last_start_at ? [clock(pool.last_start_at)] : ["none in 7d"];

// "Ceiling "hosted" (configured): 60 of 60 run, 31 by acme/shop. Workflow "Rebuild" of 38 repositories has 150 of the 221 queued jobs."
export function ceilingWords(ceiling) {
  const users = ceiling.by_repository, isSpread = users.length > 3 && users[0].running * 4 < ceiling.running; // none has a quarter
  const shares = isSpread ? [`, no repository runs more than ${users[0].running.toLocaleString()}`]
    : users.slice(0, 3).flatMap((share) => [`, ${share.running.toLocaleString()} by `, name(share.repository, "?")]);
  return ['Ceiling "', name(ceiling.ceiling), `" (${ceiling.inferred ? "inferred" : "configured"}): ${ceiling.running.toLocaleString()} of ${ceiling.limit.toLocaleString()} run`, ...shares, ". ", ...queuedWords(ceiling)];
}

function queuedWords({queued, filled_by: filled}) {
  if (!filled) return [`${counted(queued, "job")} ${queued === 1 ? "is" : "are"} queued behind it.`];
  return ['Workflow "', name(filled.workflow), `" of ${filled.repositories === 1 ? "1 repository" : `${filled.repositories.toLocaleString()} repositories`} has ${filled.queued.toLocaleString()} of the ${filled.more ? "oldest " : ""}${filled.of.toLocaleString()} queued jobs.`];
}
