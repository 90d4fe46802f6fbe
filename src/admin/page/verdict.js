// What the server says about pools, as nodes: the same words on the first screen, on the page of a pool and in the terminal.
import {clock, counted, el, name} from "./dom.js";
import {poolPage} from "./address.js";

// A sentence that the server sends in parts: names of pools become links, times are in the zone that the reader chose. `own`: the
// pool that it is about, which needs no link.
export function sentence(parts, own) {
  return parts.map((part) => {
    if (part.time) return clock(part.time);
    if (part.pool) return part.pool === own ? name(part.pool) : el("a", {href: poolPage(part.pool)}, name(part.pool));
    return part.text === undefined ? name(part.repository || part.ceiling) : part.text;
  });
}

export const isReached = (ceiling) => ceiling.since !== null;

// "dead since 14:02", "held back by the ceiling hosted since 14:02"
export function stateWords(pool) {
  const what = pool.state === "ceiling" ? ["held back by the ceiling ", name(pool.ceiling)] : [pool.state];
  return pool.since ? [...what, " since ", clock(pool.since)] : what;
}

// "40 / 48": running now, and the most that ran at once in 7 days.
export const busyWords = (pool) => `${pool.running.toLocaleString()} / ${pool.busy_max_week === null ? "?" : pool.busy_max_week.toLocaleString()}`;
export const startWords = (pool) => pool.last_start_at ? [clock(pool.last_start_at)] : ["none in 7d"];

// "The ceiling hosted has been reached since 14:02: 60 of 60 run, 31 by acme/shop. 77 jobs are queued behind it."
export function ceilingWords(ceiling) {
  const users = ceiling.by_repository, isSpread = users.length > 3 && users[0].running * 4 < ceiling.running; // none has a quarter
  const shares = isSpread ? [`, no repository runs more than ${users[0].running.toLocaleString()}`]
    : users.slice(0, 3).flatMap((share) => [`, ${share.running.toLocaleString()} by `, name(share.repository, "?")]);
  return ["The ceiling ", el("strong", null, name(ceiling.ceiling)), " has been reached since ", clock(ceiling.since), `: ${ceiling.running.toLocaleString()} of ${ceiling.limit.toLocaleString()} run`, ...shares,
    `. ${counted(ceiling.queued, "job")} ${ceiling.queued === 1 ? "is" : "are"} queued behind it.${ceiling.inferred ? " (The limit is inferred.)" : ""}`];
}
