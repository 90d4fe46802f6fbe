// What systemd and the daemon exchange: listening sockets, credentials, notifications.
#ifndef GHATRACE_APP_SYSTEMD_H
#define GHATRACE_APP_SYSTEMD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/un.h>
#include <time.h>

#include "ghatrace/base/error.h"
#include "ghatrace/base/time.h"
#include "ghatrace/net/address.h"

struct config;

// --- socket activation ----------------------------------------------------------------------------
// Listening sockets that the service manager creates and passes to this process, so that connections wait in the
// kernel while the daemon restarts (sd_listen_fds(3), systemd.socket(5)).

// SD_LISTEN_FDS_START of sd-daemon.h: the first descriptor that is passed.
#define ACTIVATION_FIRST_DESCRIPTOR 3

// What a socket is used for: its FileDescriptorName=, "webhook" and "admin" in this order.
enum activation_use { ACTIVATION_WEBHOOK, ACTIVATION_ADMIN, ACTIVATION_USES };

struct activation {
    int sockets[ACTIVATION_USES];                  // descriptors; 0: none was passed
    struct net_address addresses[ACTIVATION_USES]; // their addresses, set by activation_inspect()
    long
        other_pid; // LISTEN_PID names another process than this one, so nothing was passed to us; else 0
};

// The service manager's variables. NULL: not set.
struct activation_variables {
    const char *pid;   // LISTEN_PID
    const char *fds;   // LISTEN_FDS
    const char *names; // LISTEN_FDNAMES
};

// Parses the variables; `own_pid` is the ID of this process. Pure.
//
// Nothing is passed if `pid` or `fds` is not set, `pid` is another process, or `fds` is 0. A single socket without a
// meaningful name (none, "unknown", or that of its unit, which systemd uses if FileDescriptorName= is not set) is the
// webhook's. ERROR_USAGE, with a message, for everything else that is unclear: an invalid number, more or fewer names
// than sockets, two sockets for one use, several without names, an unknown name.
enum error_code activation_parse(const struct activation_variables *variables, long own_pid,
                                 struct activation *activation, struct error *error) MUST_CHECK;
// Inspects the sockets and fills in their addresses. ERROR_USAGE if one is not a listening TCP socket.
enum error_code activation_inspect(struct activation *activation, struct error *error) MUST_CHECK;
// "webhook" or "admin".
const char *activation_use_name(enum activation_use use);
// Called once the sockets are known: child processes of this process do not inherit them, nor the variables of this
// section and of notifications.
void activation_claim(const struct activation *activation);

// --- credentials ----------------------------------------------------------------------------------
// Files that systemd passes as credentials (LoadCredential=, systemd.exec(5)). They are copies made when the service
// starts; a reload does not update them, unless the unit specifies RefreshOnReload=credentials to systemd 260 or
// later. So a reload may read outdated copies.

#define CREDENTIALS_MAX 16 // settings that name a file
#define CREDENTIALS_TEXT_SIZE 256

struct credential {
    const char *setting; // "tls-key"
    const char *path;    // not owned
    dev_t device;        // an updated copy differs in one of these
    ino_t inode;
    struct timespec modified;
};

struct credentials {
    struct credential items[CREDENTIALS_MAX];
    size_t count;
};

// Records the current identity of the files in `config->credentials_directory` that settings name. `config` must
// outlive it.
void credentials_record(struct credentials *credentials, const struct config *config);
// Returns how many of them are still the same copies; `text` receives the settings' names, joined by ", ".
size_t credentials_unchanged(const struct credentials *credentials,
                             char text[CREDENTIALS_TEXT_SIZE]);

// --- notifications --------------------------------------------------------------------------------
// Reports the daemon's state to the service manager, one datagram for each change (sd_notify(3), Type=notify). Written
// here because libsystemd needs six more libraries, among them libgcrypt, and doubles the time of a start.

// The service manager's variables. NULL: not set.
struct notify_variables {
    const char *socket;        // NOTIFY_SOCKET: "/PATH", or "@NAME" for an abstract socket
    const char *watchdog_usec; // WATCHDOG_USEC
    const char *watchdog_pid;  // WATCHDOG_PID
};

struct notify {
    struct sockaddr_un address;
    socklen_t address_len; // 0: notifications are off
    // NOTIFY_WATCHDOG must be sent within this time, again and again; 0: no watchdog
    duration_ns watchdog;
};

enum notify_state {
    NOTIFY_READY, // also when a reload is over
    NOTIFY_RELOADING,
    NOTIFY_STOPPING,
    NOTIFY_WATCHDOG,
};

// Parses the variables; `own_pid` is the ID of this process. Without NOTIFY_SOCKET, everything is off; with another
// process in WATCHDOG_PID, the watchdog is (sd_watchdog_enabled(3)). ERROR_USAGE, with a message, for what cannot be
// used, which is off then. Pure.
enum error_code notify_parse(const struct notify_variables *variables, long own_pid,
                             struct notify *notify, struct error *error) MUST_CHECK;
// Blocks for a second at most, or not at all. ERROR_NONE also if notifications are off; ERROR_IO, ERROR_BUSY if the
// service manager does not read its socket.
enum error_code notify_send(const struct notify *notify, enum notify_state state, bool may_wait,
                            struct error *error) MUST_CHECK;

struct notifier {
    const struct notify *notify;
    atomic_bool has_failed; // the last notification could not be sent, and it was logged
};
// As notify_send(), but logs when it fails and when it works again. From any thread. False: it was not sent.
bool notifier_send(struct notifier *notifier, enum notify_state state, bool may_wait) MUST_CHECK;

#endif
