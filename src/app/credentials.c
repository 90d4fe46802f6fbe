// Which files are copies that systemd made, and whether they are still the same ones.
#include "ghatrace/app/credentials.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static bool is_in_folder(const char *path, const char *folder)
{
    size_t len = strlen(folder);
    while (len > 1 && folder[len - 1] == '/')
        len--;
    return strncmp(path, folder, len) == 0 && path[len] == '/';
}

static bool stamp(struct credential *credential)
{
    struct stat status;
    if (stat(credential->path, &status) != 0)
        return false;
    credential->device = status.st_dev;
    credential->inode = status.st_ino;
    credential->modified = status.st_mtim;
    return true;
}

static bool is_file_setting(const struct option *option)
{
    return option->type == OPTION_TEXT && option->values != NULL &&
           strcmp(option->values, "FILE") == 0;
}

void credentials_note(struct credentials *credentials, const struct config *config)
{
    credentials->count = 0;
    if (config->credentials_directory == NULL)
        return;
    for (size_t i = 0; i < OPTIONS_COUNT && credentials->count < CREDENTIALS_MAX; i++) {
        if (!is_file_setting(&options[i]) || i == OPTION_ID_CONFIG) // that one is read at the start
            continue;
        const char *path;
        memcpy(&path, (const char *)config + options[i].field, sizeof path);
        struct credential credential = {.setting = options[i].name, .path = path};
        if (path != NULL && is_in_folder(path, config->credentials_directory) && stamp(&credential))
            credentials->items[credentials->count++] = credential;
    }
}

static bool is_same_copy(const struct credential *before)
{
    struct credential now = *before;
    return stamp(&now) && now.device == before->device && now.inode == before->inode &&
           now.modified.tv_sec == before->modified.tv_sec &&
           now.modified.tv_nsec == before->modified.tv_nsec;
}

size_t credentials_unchanged(const struct credentials *credentials,
                             char text[CREDENTIALS_TEXT_SIZE])
{
    size_t count = 0, len = 0;
    text[0] = '\0';
    for (size_t i = 0; i < credentials->count; i++) {
        if (!is_same_copy(&credentials->items[i]))
            continue;
        int more = snprintf(text + len, CREDENTIALS_TEXT_SIZE - len, "%s%s", count > 0 ? ", " : "",
                            credentials->items[i].setting);
        if (more > 0 && (size_t)more < CREDENTIALS_TEXT_SIZE - len)
            len += (size_t)more;
        count++;
    }
    return count;
}
