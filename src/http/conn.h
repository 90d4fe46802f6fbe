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
// True if the last response is queued or the connection is closed.
bool http_conn_is_over(const struct http_conn *conn);
// Whether another request may be read after the response to this one.
bool http_conn_may_read_next(const struct http_conn *conn);
// The whole response is queued: waits for the next request, or finishes.
void http_conn_end_response(struct http_conn *conn, bool keep_alive);
void http_conn_set_error_response(struct http_conn *conn, int status, const char *message,
                                  struct http_response *response);

// --- responses in pieces (pieces.c) ---
// The socket accepts more.
void http_conn_continue_pieces(struct http_conn *conn);
// The state is no longer HTTP_CONN_PRODUCING.
void http_pieces_end(struct http_conn *conn);
// A timer's callback; the context is the server.
void http_server_send_next_piece(void *context);

#endif
