// The secrets that may sign a delivery: a set that is replaced whole while others still read it.
#include "secrets.h"

#include <pthread.h>
#include <stdint.h>
#include <string.h>

#include "ghatrace/base/digest.h"
#include "ghatrace/base/memory.h"

struct ingress_secrets {
    pthread_mutex_t mutex; // guards `current`; held for a few instructions
    struct secret_set *current;
};

static struct secret_set *create_set(const struct slice *items, size_t count)
{
    size_t size = sizeof(struct secret_set);

    for (size_t i = 0; i < count; i++) {
        if (items[i].len > SIZE_MAX / 2 - size - sizeof *items)
            return NULL;
        size += sizeof *items + items[i].len;
    }
    struct secret_set *set = memory_allocate(size);
    if (set == NULL)
        return NULL;
    atomic_init(&set->holders, 1);
    set->size = size;
    set->count = count;
    char *bytes = (char *)&set->items[count];
    for (size_t i = 0; i < count; i++) {
        if (items[i].len > 0)
            memcpy(bytes, items[i].data, items[i].len);
        set->items[i] = (struct slice){.data = bytes, .len = items[i].len};
        bytes += items[i].len;
    }
    return set;
}

struct secret_set *secrets_hold(struct ingress_secrets *secrets)
{
    pthread_mutex_lock(&secrets->mutex);
    struct secret_set *set = secrets->current;
    atomic_fetch_add(&set->holders, 1);
    pthread_mutex_unlock(&secrets->mutex);
    return set;
}

void secrets_let_go(struct secret_set *set)
{
    if (atomic_fetch_sub(&set->holders, 1) != 1)
        return;
    digest_wipe(set, set->size);
    memory_free(set);
}

enum error_code ingress_secrets_create(struct ingress_secrets **out, struct error *error)
{
    struct ingress_secrets *secrets = memory_allocate_array(1, sizeof *secrets);
    struct secret_set *none = create_set(NULL, 0);

    if (secrets == NULL || none == NULL) {
        memory_free(secrets);
        memory_free(none);
        return error_set(error, ERROR_MEMORY, "secrets: out of memory");
    }
    pthread_mutex_init(&secrets->mutex, NULL); // default attributes: cannot fail on Linux
    secrets->current = none;
    *out = secrets;
    return ERROR_NONE;
}

enum error_code ingress_secrets_prepare(const struct slice *items, size_t count,
                                        struct secret_set **out, struct error *error)
{
    *out = create_set(items, count);
    return *out != NULL ? ERROR_NONE : error_set(error, ERROR_MEMORY, "secrets: out of memory");
}

void ingress_secrets_use(struct ingress_secrets *secrets, struct secret_set *fresh)
{
    pthread_mutex_lock(&secrets->mutex);
    struct secret_set *old = secrets->current;
    secrets->current = fresh;
    pthread_mutex_unlock(&secrets->mutex);
    secrets_let_go(old);
}

void ingress_secrets_drop(struct secret_set *set)
{
    if (set != NULL)
        secrets_let_go(set);
}

enum error_code ingress_secrets_replace(struct ingress_secrets *secrets, const struct slice *items,
                                        size_t count, struct error *error)
{
    struct secret_set *fresh;
    enum error_code code = ingress_secrets_prepare(items, count, &fresh, error);

    if (code == ERROR_NONE)
        ingress_secrets_use(secrets, fresh);
    return code;
}

void ingress_secrets_destroy(struct ingress_secrets *secrets)
{
    if (secrets == NULL)
        return;
    secrets_let_go(secrets->current);
    pthread_mutex_destroy(&secrets->mutex);
    memory_free(secrets);
}
