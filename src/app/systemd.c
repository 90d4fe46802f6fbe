// What systemd passes: listening sockets, and copies of files as credentials; what it is notified of.
#include "systemd.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#include "config.h"
#include "ghatrace/base/log.h"
#include "ghatrace/base/slice.h"
#include "ghatrace/net/connection.h"
#include "settings.h"

// --- socket activation ----------------------------------------------------------------------------
// Maps the service manager's variables to sockets by their use.

// Far more than there are uses; a larger number is an error.
#define SOCKETS_MAX 64

static const char *const use_names[ACTIVATION_USES] = {
    [ACTIVATION_WEBHOOK] = "webhook", [ACTIVATION_ADMIN] = "admin"};

const char *activation_use_name(enum activation_use use)
{
    return use_names[use];
}

// The text before the next ':', which is removed from `rest`.
static struct slice next_name(struct slice *rest)
{
    struct slice name = {.data = rest->data, .len = 0};

    while (name.len < rest->len && name.data[name.len] != ':')
        name.len++;
    size_t taken = name.len < rest->len ? name.len + 1 : name.len;
    *rest = (struct slice){.data = rest->data + taken, .len = rest->len - taken};
    return name;
}

static size_t count_names(struct slice names)
{
    size_t count = 1;

    for (size_t i = 0; i < names.len; i++)
        count += names.data[i] == ':';
    return count;
}

// Names that systemd passes if FileDescriptorName= is not set: the unit's name, or "unknown".
static bool is_meaningless_name(struct slice name)
{
    return name.len == 0 || slice_equals(name, SLICE("unknown")) ||
           slice_ends_with(name, SLICE(".socket"));
}

static int find_socket_use(struct slice name)
{
    for (int use = 0; use < ACTIVATION_USES; use++)
        if (slice_equals(name, slice_from_string(use_names[use])))
            return use;
    return -1;
}

static enum error_code assign_socket(struct activation *activation, int fd, int use,
                                     struct error *error)
{
    assert(fd >= ACTIVATION_FIRST_DESCRIPTOR && use >= 0 && use < ACTIVATION_USES);
    if (activation->sockets[use] != 0)
        return error_set(error, ERROR_USAGE,
                         "sockets %d and %d are both for \"%s\": pass one; to take IPv4 and IPv6 "
                         "by one socket, write ListenStream=[::]:PORT and BindIPv6Only=both",
                         activation->sockets[use], fd, use_names[use]);
    activation->sockets[use] = fd;
    return ERROR_NONE;
}

static enum error_code assign_named_sockets(struct activation *activation, int fd,
                                            struct slice name, struct error *error)
{
    int use = find_socket_use(name);
    if (use >= 0)
        return assign_socket(activation, fd, use, error);
    if (slice_equals(name, SLICE("otlp")))
        return error_set(error, ERROR_USAGE,
                         "socket %d is named \"otlp\": this version does not receive OTLP; remove "
                         "it from the socket unit",
                         fd);
    return error_set(error, ERROR_USAGE,
                     "socket %d is named \"%.*s\": want FileDescriptorName=webhook or =admin", fd,
                     (int)(name.len < 60 ? name.len : 60), name.data);
}

static enum error_code assign_all_sockets(struct activation *activation, size_t count,
                                          struct slice names, struct error *error)
{
    int unnamed = 0;
    for (size_t i = 0; i < count; i++) {
        int fd = ACTIVATION_FIRST_DESCRIPTOR + (int)i;
        struct slice name = next_name(&names);
        if (is_meaningless_name(name) && unnamed != 0)
            return error_set(error, ERROR_USAGE,
                             "sockets %d and %d have no names: set FileDescriptorName=webhook and "
                             "FileDescriptorName=admin",
                             unnamed, fd);
        if (is_meaningless_name(name)) {
            unnamed = fd;
            continue;
        }
        enum error_code code = assign_named_sockets(activation, fd, name, error);
        if (code != ERROR_NONE)
            return code;
    }
    return unnamed != 0 ? assign_socket(activation, unnamed, ACTIVATION_WEBHOOK, error)
                        : ERROR_NONE;
}

enum error_code activation_parse(const struct activation_variables *variables, long own_pid,
                                 struct activation *activation, struct error *error)
{
    const char *pid = variables->pid, *fds = variables->fds, *names = variables->names;
    long long number, count;

    *activation = (struct activation){.other_pid = 0};
    if (pid == NULL || fds == NULL)
        return ERROR_NONE;
    if (!slice_parse_int64(slice_from_string(pid), &number) || number <= 0)
        return error_set(error, ERROR_USAGE, "LISTEN_PID: \"%.60s\" is not a process ID", pid);
    if (number != own_pid) {
        activation->other_pid = (long)number;
        return ERROR_NONE;
    }
    if (!slice_parse_int64(slice_from_string(fds), &count) || count < 0 || count > SOCKETS_MAX)
        return error_set(error, ERROR_USAGE, "LISTEN_FDS: \"%.60s\" is not a number from 0 to %d",
                         fds, SOCKETS_MAX);
    struct slice all = slice_from_string(names != NULL ? names : "");
    if (count > 0 && names != NULL && count_names(all) != (size_t)count)
        return error_set(error, ERROR_USAGE,
                         "LISTEN_FDNAMES: \"%.60s\" does not name the %lld sockets of LISTEN_FDS",
                         names, count);
    return assign_all_sockets(activation, (size_t)count, all, error);
}

enum error_code activation_inspect(struct activation *activation, struct error *error)
{
    for (int use = 0; use < ACTIVATION_USES; use++) {
        int fd = activation->sockets[use];
        enum error_code code =
            fd != 0 ? net_listener_inspect(fd, &activation->addresses[use], error) : ERROR_NONE;
        if (code != ERROR_NONE) {
            error_wrap(error, "socket activation, %s", use_names[use]);
            return code;
        }
    }
    return ERROR_NONE;
}

void activation_claim(const struct activation *activation)
{
    static const char *const variables[] = {
        "LISTEN_PID",    "LISTEN_FDS",    "LISTEN_FDNAMES", "LISTEN_PIDFDID",
        "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID",
    };

    for (int use = 0; use < ACTIVATION_USES; use++)
        if (activation->sockets[use] != 0)
            (void)fcntl(activation->sockets[use], F_SETFD, FD_CLOEXEC);
    for (size_t i = 0; i < sizeof variables / sizeof variables[0]; i++)
        (void)unsetenv(variables[i]);
}

// --- credentials ----------------------------------------------------------------------------------
// Which files are copies made by systemd, and whether they are unchanged.

static bool is_in_folder(const char *path, const char *folder)
{
    size_t len = strlen(folder);
    while (len > 1 && folder[len - 1] == '/')
        len--;
    return strncmp(path, folder, len) == 0 && path[len] == '/';
}

static bool read_file_identity(struct credential *credential)
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

void credentials_record(struct credentials *credentials, const struct config *config)
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
        if (path != NULL && is_in_folder(path, config->credentials_directory) &&
            read_file_identity(&credential))
            credentials->items[credentials->count++] = credential;
    }
}

static bool is_same_copy(const struct credential *before)
{
    struct credential now = *before;
    return read_file_identity(&now) && now.device == before->device && now.inode == before->inode &&
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

// --- notifications --------------------------------------------------------------------------------

#define NOTIFY_TIMEOUT_SECONDS 1
#define NOTIFY_TEXT_SIZE 64

static enum error_code parse_socket(const char *path, struct notify *notify, struct error *error)
{
    size_t len = strlen(path);
    if ((path[0] != '/' && path[0] != '@') || len < 2)
        return error_set(error, ERROR_USAGE,
                         "NOTIFY_SOCKET: \"%.60s\" is neither a path nor an abstract socket", path);
    if (len >= sizeof notify->address.sun_path)
        return error_set(error, ERROR_USAGE, "NOTIFY_SOCKET: longer than %zu characters",
                         sizeof notify->address.sun_path - 1);
    notify->address.sun_family = AF_UNIX;
    memcpy(notify->address.sun_path, path, len + 1);
    // unix(7): an abstract name begins with NUL and ends where the address does.
    bool is_abstract = path[0] == '@';
    if (is_abstract)
        notify->address.sun_path[0] = '\0';
    notify->address_len =
        (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len + (is_abstract ? 0 : 1));
    return ERROR_NONE;
}

static enum error_code parse_watchdog(const struct notify_variables *variables, long own_pid,
                                      duration_ns *watchdog, struct error *error)
{
    const char *pid = variables->watchdog_pid, *text = variables->watchdog_usec;
    long long number, usec;
    if (text == NULL)
        return ERROR_NONE;
    if (pid != NULL && (!slice_parse_int64(slice_from_string(pid), &number) || number <= 0))
        return error_set(error, ERROR_USAGE, "WATCHDOG_PID: \"%.60s\" is not a process ID", pid);
    if (pid != NULL && number != own_pid)
        return ERROR_NONE;
    if (!slice_parse_int64(slice_from_string(text), &usec) || usec <= 0 ||
        usec > INT64_MAX / NS_PER_US)
        return error_set(error, ERROR_USAGE,
                         "WATCHDOG_USEC: \"%.60s\" is not a number of microseconds", text);
    *watchdog = usec * NS_PER_US;
    return ERROR_NONE;
}

enum error_code notify_parse(const struct notify_variables *variables, long own_pid,
                             struct notify *notify, struct error *error)
{
    *notify = (struct notify){.address_len = 0};
    if (variables->socket == NULL)
        return ERROR_NONE;
    enum error_code code = parse_socket(variables->socket, notify, error);
    return code == ERROR_NONE ? parse_watchdog(variables, own_pid, &notify->watchdog, error) : code;
}

static void notify_text(enum notify_state state, char text[NOTIFY_TEXT_SIZE])
{
    static const char *const texts[] = {[NOTIFY_READY] = "READY=1",
                                        [NOTIFY_RELOADING] = "RELOADING=1",
                                        [NOTIFY_STOPPING] = "STOPPING=1",
                                        [NOTIFY_WATCHDOG] = "WATCHDOG=1"};
    // With this, systemd can tell which READY=1 ends this reload.
    if (state == NOTIFY_RELOADING)
        (void)snprintf(text, NOTIFY_TEXT_SIZE, "%s\nMONOTONIC_USEC=%lld", texts[state],
                       (long long)(timestamp_monotonic() / NS_PER_US));
    else
        (void)snprintf(text, NOTIFY_TEXT_SIZE, "%s", texts[state]);
}

static enum error_code explain_not_sent(int reason, struct error *error)
{
    if (reason == EAGAIN || reason == EWOULDBLOCK)
        return error_set(error, ERROR_BUSY, "NOTIFY_SOCKET: systemd does not read its socket");
    return error_set(error, ERROR_IO, "NOTIFY_SOCKET: %s", strerror(reason));
}

enum error_code notify_send(const struct notify *notify, enum notify_state state, bool may_wait,
                            struct error *error)
{
    const struct timeval limit = {.tv_sec = NOTIFY_TIMEOUT_SECONDS};
    char text[NOTIFY_TEXT_SIZE];
    if (notify->address_len == 0)
        return ERROR_NONE;
    notify_text(state, text);
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return error_set(error, ERROR_IO, "NOTIFY_SOCKET: %s%s", strerror(errno),
                         errno == EAFNOSUPPORT ? ": add AF_UNIX to RestrictAddressFamilies" : "");
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    ssize_t sent = sendto(fd, text, strlen(text), MSG_NOSIGNAL | (may_wait ? 0 : MSG_DONTWAIT),
                          (const struct sockaddr *)&notify->address, notify->address_len);
    int reason = errno;
    (void)close(fd);
    return sent >= 0 ? ERROR_NONE : explain_not_sent(reason, error);
}

bool notifier_send(struct notifier *notifier, enum notify_state state, bool may_wait)
{
    struct error error;
    bool has_failed = notify_send(notifier->notify, state, may_wait, &error) != ERROR_NONE;
    bool had_failed = atomic_exchange(&notifier->has_failed, has_failed);
    if (has_failed && !had_failed)
        log_warn("systemd cannot be notified; it is tried again", LOG_REASON(&error));
    else if (had_failed && !has_failed)
        log_info("systemd is notified again");
    return !has_failed;
}
