// Files that systemd passes as credentials (LoadCredential=, systemd.exec(5)). They are copies made when the service
// starts; a reload does not update them, unless the unit specifies RefreshOnReload=credentials to systemd 260 or
// later. So a reload may read outdated copies.
#ifndef GHATRACE_APP_CREDENTIALS_H
#define GHATRACE_APP_CREDENTIALS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include <time.h>

#include "config.h"

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
void credentials_note(struct credentials *credentials, const struct config *config);
// Returns how many of them are still the same copies; `text` receives the settings' names, joined by ", ".
size_t credentials_unchanged(const struct credentials *credentials,
                             char text[CREDENTIALS_TEXT_SIZE]);

// --- injected -------------------------------------------------------------------------------------
// Variables that an orchestrator adds to every process near a service, named after the service. A service called
// `ghatrace`, or `ghatrace-admin`, yields names that look like our settings but are not. Pure.

// Is `entry` ("NAME=value") of `environment` one of these? Name and value must both have the form:
//
// Kubernetes (kubelet, pkg/kubelet/envvars), for services in the pod's namespace, upper case, '-' as '_':
//   X_SERVICE_HOST=IP   X_SERVICE_PORT=NUMBER   X_SERVICE_PORT_{PORT NAME}=NUMBER
//   X_PORT=tcp://IP:NUMBER   X_PORT_{n}_{TCP|UDP|SCTP}=tcp://IP:n   and to the latter _PROTO, _PORT, _ADDR
// Docker's links ("legacy container links"): the last two, and
//   X_PORT_{n}_{TCP|UDP|SCTP}_START, _END, _PORT_START, _PORT_END for ranges of ports
//   X_NAME=/{container}/{x}   X_ENV_{any name}=..., where X_NAME is there, too
//
// where X is GHATRACE or begins with GHATRACE_. So `GHATRACE_PORT=8080`, which was meant as a setting, is not.
bool variable_is_injected(const char *entry, char *const *environment);

#endif
