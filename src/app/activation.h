// Socket activation: listening sockets that the service manager made and passes to this process, so that
// connections wait in the kernel while the daemon restarts (sd_listen_fds(3), systemd.socket(5)).
#ifndef GHATRACE_APP_ACTIVATION_H
#define GHATRACE_APP_ACTIVATION_H

#include "ghatrace/base/error.h"
#include "ghatrace/net/address.h"

// SD_LISTEN_FDS_START of sd-daemon.h: the first descriptor that is passed.
#define ACTIVATION_FIRST_DESCRIPTOR 3

// What a socket is for: its FileDescriptorName=, in this order "webhook" and "admin".
enum activation_use { ACTIVATION_WEBHOOK, ACTIVATION_ADMIN, ACTIVATION_USES };

struct activation {
    int sockets[ACTIVATION_USES];                  // descriptors; 0: none was passed
    struct net_address addresses[ACTIVATION_USES]; // theirs, after activation_inspect()
    long
        other_pid; // LISTEN_PID names another process than this one, so nothing was passed to us; else 0
};

// From the three variables (each NULL when it is not set) and the own process ID. Pure.
//
// Nothing is passed where `pid` or `fds` is not set, `pid` is another process, or `fds` is 0. One socket without a name
// that means anything (none, "unknown", or that of its unit, as systemd gives where FileDescriptorName= is not
// set) is the webhook's. ERROR_USAGE, with a sentence, for all else that is not clear: a number that is none, names
// that are not as many as sockets, two sockets for one use, several without names, a name that is not known.
enum error_code activation_parse(const char *pid, const char *fds, const char *names, long own_pid,
                                 struct activation *activation, struct error *error) MUST_CHECK;
// Looks at the sockets themselves and fills in their addresses. ERROR_USAGE when one is not a TCP socket that listens.
enum error_code activation_inspect(struct activation *activation, struct error *error) MUST_CHECK;
// "webhook" or "admin".
const char *activation_use_name(enum activation_use use);
// Once the sockets are known: no other program that this process might start gets them or the variables.
void activation_claim(const struct activation *activation);

#endif
