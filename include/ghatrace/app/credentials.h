// Files that systemd passes as credentials (LoadCredential=, systemd.exec(5)). They are copies, made when the service
// starts; a reload makes none, unless the unit says RefreshOnReload=credentials to systemd 260 or later. So a reload may
// read again what has been changed long since.
#ifndef GHATRACE_APP_CREDENTIALS_H
#define GHATRACE_APP_CREDENTIALS_H

#include <stddef.h>
#include <sys/types.h>
#include <time.h>

#include "ghatrace/app/config.h"

#define CREDENTIALS_MAX 16 // settings that name a file
#define CREDENTIALS_TEXT_SIZE 256

struct credential {
    const char *setting; // "tls-key"
    const char *path;    // not owned
    dev_t device;        // a fresh copy differs in one of these
    ino_t inode;
    struct timespec modified;
};

struct credentials {
    struct credential items[CREDENTIALS_MAX];
    size_t count;
};

// Notes the files in `config->credentials_directory` that settings name, as they are now. `config` must outlive it.
void credentials_note(struct credentials *credentials, const struct config *config);
// How many of them are the same copies still, and in `text` the settings' names, joined by ", ".
size_t credentials_unchanged(const struct credentials *credentials,
                             char text[CREDENTIALS_TEXT_SIZE]);

#endif
