// Ends calls of libcurl that do not return because a server sends without end. Private to this room.
//
// libcurl reads some things until the socket is empty, without a limit and within one call: the body of a proxy's answer
// to CONNECT, one byte at a time, and frames of HTTP/2 that belong to no response. Meanwhile the loop's thread does
// nothing else. A thread of the guard measures the CPU time of each call and shuts the sockets down when it is too much;
// libcurl then finds the end of the connection.
//
// All functions are called by the loop's thread.
#ifndef GHATRACE_SRC_CLIENT_GUARD_H
#define GHATRACE_SRC_CLIENT_GUARD_H

#include <stdbool.h>

#include "ghatrace/base/error.h"
#include "ghatrace/base/time.h"

// CPU time of one call. CPU time: a machine that pauses or is overloaded does not count.
#define GUARD_CALL_TIME (300 * NS_PER_MS)

struct guard;

// ERROR_MEMORY: no memory, or no thread.
enum error_code guard_create(struct guard **guard, struct error *error) MUST_CHECK;
// Waits for the thread. NULL does nothing. Sockets that are still known are not closed.
void guard_destroy(struct guard *guard);

// A socket of the group was opened. A group is any pointer that identifies it. False: out of memory.
bool guard_add_socket(struct guard *guard, const void *group, int fd) MUST_CHECK;
// Closes the socket; its number is not used any more.
int guard_close_socket(struct guard *guard, int fd);

// A call of libcurl begins that may use the group's sockets.
void guard_enter(struct guard *guard, const void *group);
// It has returned. True: it took too long, and the group's sockets were shut down.
bool guard_leave(struct guard *guard);

#endif
