// Addresses of the views and in the API; all are relative, so that the page works under any path of a proxy.
import {name} from "./dom.js";

// Several servers may have runs with the same number. github.com is not named: most users have no other server.
const isElsewhere = (server) => server && server !== "github.com";
const question = (server) => isElsewhere(server) ? `server=${encodeURIComponent(server)}` : "";

function withQuestion(path, ...parts) {
  const query = parts.filter((part) => part).join("&");
  return query ? `${path}?${query}` : path;
}

export const poolPage = (name) => `#/pools/${encodeURIComponent(name)}`;
// A browser resolves "." and ".." as folders, even when they are encoded; the same label twice is the same pool.
const askedPool = (name) => encodeURIComponent(/^\.{1,2}$/.test(name) ? `${name},${name}` : name);
export const poolAddress = (name, rest = "") => `api/pools/${askedPool(name)}${rest}`;
export const commitPage = (sha) => `#/commits/${sha}`;
export const pageOf = (run) => withQuestion(`#/runs/${run.run_id}/${run.run_attempt}`, question(run.server));
export const addressOf = (id, attempt, server, more) => withQuestion(`api/runs/${id}/${attempt}`, question(server), more);
export const repository = (of) => name(of.repository && isElsewhere(of.server) ? `${of.server}/${of.repository}` : of.repository, "?");

// Puts the state of a view after the '?' of its address, without a new entry in the history.
export function remember(parameters) {
  const [path] = location.hash.split("?"), query = String(parameters);
  const address = `${path || "#/"}${query ? `?${query}` : ""}`;
  if (address !== location.hash) history.replaceState(history.state, "", address);
}
