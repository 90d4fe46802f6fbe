// Addresses of runs on the page and in the API.
import {name} from "./dom.js";

// Several servers may have runs with the same number. github.com is not named: most users have no other server.
const isElsewhere = (server) => server && server !== "github.com";
const question = (server) => isElsewhere(server) ? `server=${encodeURIComponent(server)}` : "";

function withQuestion(path, ...parts) {
  const query = parts.filter((part) => part).join("&");
  return query ? `${path}?${query}` : path;
}

export const pageOf = (run) => withQuestion(`#/runs/${run.run_id}/${run.run_attempt}`, question(run.server));
export const addressOf = (id, attempt, server, more) => withQuestion(`/api/runs/${id}/${attempt}`, question(server), more);
export const repository = (of) => name(of.repository && isElsewhere(of.server) ? `${of.server}/${of.repository}` : of.repository, "?");
