// Internal interface between connections and their server.
#ifndef GHATRACE_HTTP_CONN_H
#define GHATRACE_HTTP_CONN_H

#include "ghatrace/http/server.h"

// Callbacks for a client's TCP connection.
extern const struct net_handler http_conn_handler;

// All state changes go through this function. It also moves the connection to the eviction list of its new state and
// pauses or resumes reading. The table in conn.c must allow the transition.
void http_conn_move(struct http_conn *conn, enum http_conn_state to);
// The eviction group of its state.
enum eviction_group http_conn_group(const struct http_conn *conn);
// Retries eviction for waiting new connections, because a candidate may exist now.
void http_server_retry_eviction(struct http_server *host);
// Closes its connection at once, even with output unsent. Does nothing if it is closed already.
void http_conn_close(struct http_conn *conn);
void http_conn_send_late_response(struct http_conn *conn);

#endif
