// Resolves host names with getaddrinfo, in a detached thread per look-up.
#include "ghatrace/net/resolver.h"

#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "ghatrace/base/memory.h"

// One look-up. Its thread owns it until it posts it to the loop, which frees it; a superseded look-up is freed by
// its thread, or by the loop if it is already posted.
struct look_up {
    char *host; // owned
    uint16_t port;
    struct addrinfo *found; // owned
    int result;             // of getaddrinfo
    struct net_task task;

    pthread_mutex_t mutex;
    struct net_loop *loop;         // NULL: superseded, post nothing. Guarded by mutex
    struct net_resolver *resolver; // NULL: superseded. The loop's thread only
};

struct net_resolver {
    struct net_loop *loop;
    struct look_up *current; // NULL: none in progress
    net_resolved callback;
    void *context;
};

static void free_look_up(struct look_up *look_up)
{
    if (look_up->found != NULL)
        freeaddrinfo(look_up->found);
    pthread_mutex_destroy(&look_up->mutex);
    memory_free(look_up->host);
    memory_free(look_up);
}

static size_t copy_addresses(const struct look_up *look_up, struct net_address *addresses)
{
    size_t count = 0;

    for (const struct addrinfo *info = look_up->found; info != NULL && count < NET_RESOLVED_MAX;
         info = info->ai_next) {
        if (info->ai_addrlen > sizeof addresses[count].storage)
            continue;
        memset(&addresses[count], 0, sizeof addresses[count]);
        memcpy(&addresses[count].storage, info->ai_addr, info->ai_addrlen);
        addresses[count].len = info->ai_addrlen;
        count++;
    }
    return count;
}

static void deliver(void *context)
{
    struct look_up *look_up = context;
    struct net_resolver *resolver = look_up->resolver;
    struct net_address addresses[NET_RESOLVED_MAX];
    struct error error = {.code = ERROR_NONE};
    size_t count = 0;

    // Waits until the thread that posted this has left the lock.
    pthread_mutex_lock(&look_up->mutex);
    pthread_mutex_unlock(&look_up->mutex);

    if (resolver == NULL) { // superseded, or destroyed after it was posted
        free_look_up(look_up);
        return;
    }
    if (look_up->result == 0)
        count = copy_addresses(look_up, addresses);
    if (count == 0)
        error_set(&error, look_up->result == EAI_MEMORY ? ERROR_MEMORY : ERROR_NETWORK,
                  "look up \"%s\": %s", look_up->host,
                  look_up->result != 0 ? gai_strerror(look_up->result) : "no address");
    resolver->current = NULL;
    free_look_up(look_up);
    // Last: it may start the next look-up or destroy the resolver.
    resolver->callback(resolver->context, addresses, count, &error);
}

static int look_up_host(struct look_up *look_up, int flags)
{
    struct addrinfo hints = {
        .ai_socktype = SOCK_STREAM, .ai_family = AF_UNSPEC, .ai_flags = flags | AI_NUMERICSERV};
    char port[8];

    snprintf(port, sizeof port, "%u", (unsigned)look_up->port);
    return getaddrinfo(look_up->host, port, &hints, &look_up->found);
}

static void *run_look_up(void *context)
{
    struct look_up *look_up = context;

    // No AI_ADDRCONFIG: it hides loopback addresses in containers without a network.
    look_up->result = look_up_host(look_up, 0);
    pthread_mutex_lock(&look_up->mutex);
    bool is_wanted = look_up->loop != NULL;
    if (is_wanted)
        net_loop_post(look_up->loop, &look_up->task);
    pthread_mutex_unlock(&look_up->mutex);
    if (!is_wanted)
        free_look_up(look_up);
    return NULL;
}

static bool start_thread(struct look_up *look_up)
{
    pthread_attr_t attributes;
    pthread_t thread;
    sigset_t all, before;

    if (pthread_attr_init(&attributes) != 0)
        return false;
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    // Signals must reach the thread whose loop has the handlers.
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int result = pthread_create(&thread, &attributes, run_look_up, look_up);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    return result == 0;
}

// Abandons the look-up in progress. Its thread frees it, possibly long after the loop is destroyed; or deliver() does,
// if it is already posted.
static void supersede(struct net_resolver *resolver)
{
    struct look_up *look_up = resolver->current;

    if (look_up == NULL)
        return;
    resolver->current = NULL;
    look_up->resolver = NULL;
    pthread_mutex_lock(&look_up->mutex);
    look_up->loop = NULL;
    pthread_mutex_unlock(&look_up->mutex);
}

enum error_code net_resolver_create(struct net_loop *loop, struct net_resolver **out,
                                    struct error *error)
{
    struct net_resolver *resolver = memory_allocate_array(1, sizeof *resolver);

    if (resolver == NULL)
        return error_set(error, ERROR_MEMORY, "resolver: out of memory");
    resolver->loop = loop;
    *out = resolver;
    return ERROR_NONE;
}

void net_resolver_destroy(struct net_resolver *resolver)
{
    if (resolver == NULL)
        return;
    supersede(resolver);
    memory_free(resolver);
}

static struct look_up *create_look_up(struct net_resolver *resolver, const char *host,
                                      uint16_t port)
{
    struct look_up *look_up = memory_allocate_array(1, sizeof *look_up);

    if (look_up == NULL)
        return NULL;
    look_up->host = memory_copy_string(host, strlen(host));
    if (look_up->host == NULL) {
        memory_free(look_up);
        return NULL;
    }
    look_up->port = port;
    look_up->task = (struct net_task){.run = deliver, .context = look_up};
    look_up->loop = resolver->loop;
    look_up->resolver = resolver;
    pthread_mutex_init(&look_up->mutex, NULL); // default attributes: cannot fail on Linux
    return look_up;
}

// True if the same look-up is in progress: then only the callback changes.
static bool is_under_way(const struct net_resolver *resolver, const char *host, uint16_t port)
{
    return resolver->current != NULL && resolver->current->port == port &&
           strcmp(resolver->current->host, host) == 0;
}

static enum error_code begin(struct net_resolver *resolver, const char *host, uint16_t port,
                             struct error *error)
{
    struct look_up *look_up = create_look_up(resolver, host, port);

    if (look_up == NULL)
        return error_set(error, ERROR_MEMORY, "look up \"%s\": out of memory", host);
    look_up->result = look_up_host(look_up, AI_NUMERICHOST);
    if (look_up->result == 0) {
        net_loop_post(resolver->loop, &look_up->task);
    } else if (!start_thread(look_up)) {
        free_look_up(look_up);
        return error_set(error, ERROR_MEMORY, "look up \"%s\": no thread to do it", host);
    }
    resolver->current = look_up;
    return ERROR_NONE;
}

enum error_code net_resolver_start(struct net_resolver *resolver, const char *host, uint16_t port,
                                   net_resolved callback, void *context, struct error *error)
{
    if (!is_under_way(resolver, host, port)) {
        supersede(resolver);
        enum error_code code = begin(resolver, host, port, error);
        if (code != ERROR_NONE)
            return code;
    }
    resolver->callback = callback;
    resolver->context = context;
    return ERROR_NONE;
}
