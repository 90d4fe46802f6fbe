// Socket activation: from the service manager's variables to sockets by their use.
#include "ghatrace/app/activation.h"

#include <fcntl.h>
#include <stdlib.h>

#include "ghatrace/base/slice.h"
#include "ghatrace/net/connection.h"

// Far more than there are uses; a larger number is a mistake.
#define SOCKETS_MAX 64

static const char *const use_names[ACTIVATION_USES] = {
    [ACTIVATION_WEBHOOK] = "webhook", [ACTIVATION_ADMIN] = "admin"};

const char *activation_use_name(enum activation_use use)
{
    return use_names[use];
}

// The text before the next ':', which is taken from `rest`.
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

// As systemd has it where FileDescriptorName= is not set: the unit's name, or "unknown".
static bool is_no_name(struct slice name)
{
    return name.len == 0 || slice_equals(name, SLICE("unknown")) ||
           slice_ends_with(name, SLICE(".socket"));
}

static int find_use(struct slice name)
{
    for (int use = 0; use < ACTIVATION_USES; use++)
        if (slice_equals(name, slice_from_string(use_names[use])))
            return use;
    return -1;
}

static enum error_code take_socket(struct activation *activation, int fd, int use,
                                   struct error *error)
{
    if (activation->sockets[use] != 0)
        return error_set(error, ERROR_USAGE,
                         "sockets %d and %d are both for \"%s\": pass one; to take IPv4 and IPv6 "
                         "by one socket, write ListenStream=[::]:PORT and BindIPv6Only=both",
                         activation->sockets[use], fd, use_names[use]);
    activation->sockets[use] = fd;
    return ERROR_NONE;
}

static enum error_code take_named(struct activation *activation, int fd, struct slice name,
                                  struct error *error)
{
    int use = find_use(name);
    if (use >= 0)
        return take_socket(activation, fd, use, error);
    if (slice_equals(name, SLICE("otlp")))
        return error_set(error, ERROR_USAGE,
                         "socket %d is named \"otlp\": this version takes no OTLP, and clients "
                         "would wait in vain; remove it from the socket unit",
                         fd);
    return error_set(error, ERROR_USAGE,
                     "socket %d is named \"%.*s\": want FileDescriptorName=webhook or =admin", fd,
                     (int)(name.len < 60 ? name.len : 60), name.data);
}

static enum error_code take_all(struct activation *activation, size_t count, struct slice names,
                                struct error *error)
{
    int unnamed = 0;
    for (size_t i = 0; i < count; i++) {
        int fd = ACTIVATION_FIRST_DESCRIPTOR + (int)i;
        struct slice name = next_name(&names);
        if (is_no_name(name) && unnamed != 0)
            return error_set(error, ERROR_USAGE,
                             "sockets %d and %d have no names: which one is for what must be "
                             "said, by FileDescriptorName=webhook and =admin",
                             unnamed, fd);
        if (is_no_name(name)) {
            unnamed = fd;
            continue;
        }
        enum error_code code = take_named(activation, fd, name, error);
        if (code != ERROR_NONE)
            return code;
    }
    return unnamed != 0 ? take_socket(activation, unnamed, ACTIVATION_WEBHOOK, error) : ERROR_NONE;
}

enum error_code activation_parse(const char *pid, const char *fds, const char *names, long own_pid,
                                 struct activation *activation, struct error *error)
{
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
    return take_all(activation, (size_t)count, all, error);
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
    static const char *const variables[] = {"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES",
                                            "LISTEN_PIDFDID"};

    for (int use = 0; use < ACTIVATION_USES; use++)
        if (activation->sockets[use] != 0)
            (void)fcntl(activation->sockets[use], F_SETFD, FD_CLOEXEC);
    for (size_t i = 0; i < sizeof variables / sizeof variables[0]; i++)
        (void)unsetenv(variables[i]);
}
