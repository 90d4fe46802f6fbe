// What the files of the connection share.
#ifndef GHATRACE_HTTP_CONN_H
#define GHATRACE_HTTP_CONN_H

#include "ghatrace/http/server.h"

// What the TCP connection of a client calls.
extern const struct net_handler http_conn_handler;

// Every change of a connection's state. It also moves the connection to the list of those that wait as it does now,
// and pauses or resumes reading. The change must be one that the table in conn.c allows.
void http_conn_move(struct http_conn *conn, enum http_conn_state to);
// In whose list it waits.
enum eviction_group http_conn_group(const struct http_conn *conn);
// One may be closed for a new connection now, where before it may have found none.
void http_server_look_again(struct http_server *host);
// Closes its connection, whatever is still to be said. Does nothing when that was done.
void http_conn_close(struct http_conn *conn);
void http_conn_send_late_answer(struct http_conn *conn);

#endif
