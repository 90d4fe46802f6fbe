// The server of a payload: github.com, a subdomain of ghe.com (data residency) or an Enterprise Server. Ids of runs
// and jobs are unique only within one server. Pure.
#ifndef GHATRACE_GITHUB_SERVER_H
#define GHATRACE_GITHUB_SERVER_H

#include "ghatrace/base/arena.h"
#include "ghatrace/base/error.h"
#include "ghatrace/base/slice.h"

#define GITHUB_SERVER_USUAL SLICE("github.com")
#define GITHUB_SERVER_MAX 253 // bytes: the longest host name (RFC 1035, 2.3.4)

// The host of a repository's html_url, in lower-case ASCII, without brackets around an IPv6 address and without a
// trailing dot. Empty for github.com, and if there is no host.
//
// Never includes user or password, since it is shown and exported. Without the port: an Enterprise Server has one
// host name and serves ports 80 and 443 only (GitHub Docs, Network ports), so another port can only be another route
// to the same server. A text without "//" has no host (RFC 3986, 4.2), unless there is a dot before its first slash,
// which no owner's name has. An invalid host name is used as it is, truncated at a character boundary to
// GITHUB_SERVER_MAX bytes.
//
// Points into `url` or into the arena. ERROR_MEMORY.
enum error_code github_server_of_url(struct slice url, struct arena *arena,
                                     struct slice *server) MUST_CHECK;

// The server's name for display and in the API: never empty.
struct slice github_server_name(struct slice server);
// The reverse, for a name entered by a user. ERROR_MEMORY.
enum error_code github_server_of_name(struct slice name, struct arena *arena,
                                      struct slice *server) MUST_CHECK;

#endif
