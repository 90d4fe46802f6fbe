// Diagnoses the webhook's configuration from refused requests and pings.
#include "setup_private.h"

#include <arpa/inet.h>
#include <assert.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "ghatrace/base/memory.h"

struct setup_notes {
    pthread_mutex_t mutex; // guards all below
    struct ingress_refused refused[SETUP_REFUSALS];
    char path[INGRESS_SETUP_TEXT_SIZE];
    struct ingress_hook hook;
    uint64_t version;
};

enum error_code setup_notes_create(struct setup_notes **out, struct error *error)
{
    struct setup_notes *notes = memory_allocate_array(1, sizeof *notes);

    if (notes == NULL)
        return error_set(error, ERROR_MEMORY, "ingress: out of memory");
    pthread_mutex_init(&notes->mutex, NULL);
    *out = notes;
    return ERROR_NONE;
}

void setup_notes_destroy(struct setup_notes *notes)
{
    if (notes == NULL)
        return;
    pthread_mutex_destroy(&notes->mutex);
    memory_free(notes);
}

bool setup_is_from_github(const struct http_head *head)
{
    struct slice agent = http_head_get(head, SLICE("user-agent"), NULL);

    return http_head_get(head, SLICE("x-github-event"), NULL).len > 0 ||
           slice_starts_with(agent, SLICE("GitHub-Hookshot/"));
}

// --- untrusted text -------------------------------------------------------------------------------

static void copy_clean(struct slice text, char *out, size_t size)
{
    size_t len = text.len < size ? text.len : size - 1;

    for (size_t i = 0; i < len; i++)
        out[i] = text.data[i] > ' ' && text.data[i] <= '~' ? text.data[i] : '?';
    out[len] = '\0';
}

static void format_ip(const struct net_ip *ip, char text[INGRESS_ADDRESS_SIZE])
{
    bool is_v4 = net_ip_is_v4(ip);
    const void *bytes = is_v4 ? ip->bytes + sizeof ip->bytes - 4 : ip->bytes;

    if (inet_ntop(is_v4 ? AF_INET : AF_INET6, bytes, text, INGRESS_ADDRESS_SIZE) == NULL)
        text[0] = '\0';
}

// --- notes ----------------------------------------------------------------------------------------

static void note_address(struct ingress_refused *refused, const struct net_ip *client)
{
    char text[INGRESS_ADDRESS_SIZE];

    if (client == NULL)
        return;
    format_ip(client, text);
    for (size_t i = 0; i < refused->address_count; i++)
        if (strcmp(refused->addresses[i], text) == 0)
            return;
    if (refused->address_count == INGRESS_SETUP_ADDRESSES) {
        refused->has_more_addresses = true;
        memmove(refused->addresses[0], refused->addresses[1],
                sizeof refused->addresses - sizeof refused->addresses[0]);
        refused->address_count--;
    }
    assert(refused->address_count < INGRESS_SETUP_ADDRESSES);
    memcpy(refused->addresses[refused->address_count++], text, sizeof text);
}

// True for the first sixteen, then only when the count has grown by a sixteenth.
static bool is_notable_count(uint64_t count)
{
    uint64_t step = 1;

    while (step * 32 <= count)
        step *= 2;
    return count % step == 0;
}

void setup_note_refusal(struct setup_notes *notes, const struct setup_refused *delivery)
{
    struct ingress_refused *refused = &notes->refused[delivery->why];

    pthread_mutex_lock(&notes->mutex);
    if (refused->in_a_row > 0 && delivery->signed_at >= refused->last) {
        refused->in_a_row = 0;
        refused->address_count = 0;
        refused->has_more_addresses = false;
    }
    if (refused->in_a_row == 0)
        refused->since = delivery->at;
    refused->count++;
    refused->in_a_row++;
    refused->last = delivery->at;
    note_address(refused, delivery->client);
    if (delivery->why == SETUP_WRONG_PATH)
        copy_clean(delivery->path, notes->path, sizeof notes->path);
    notes->version += is_notable_count(refused->in_a_row) ? 1 : 0;
    pthread_mutex_unlock(&notes->mutex);
}

bool setup_describe_missing(const struct github_hook *hook, char text[SETUP_MISSING_SIZE])
{
    const struct {
        bool is_missing;
        const char *words;
    } parts[] = {
        {hook->has_events && !hook->has_jobs, "tick Workflow jobs"},
        {hook->has_events && !hook->has_runs, "tick Workflow runs"},
        {hook->is_inactive, "tick Active"},
        {hook->is_insecure, "enable SSL verification"},
        {slice_starts_with(hook->url, SLICE("http://")), "use an https URL"},
    };
    size_t len = 0;

    text[0] = '\0';
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
        if (parts[i].is_missing)
            len += (size_t)snprintf(text + len, SETUP_MISSING_SIZE - len, "%s%s",
                                    len > 0 ? "; " : "", parts[i].words);
    return len == 0;
}

void setup_note_ping(struct setup_notes *notes, const struct github_hook *hook, timestamp_ns now)
{
    if (!hook->has_events) // not from GitHub: no information
        return;
    pthread_mutex_lock(&notes->mutex);
    notes->hook = (struct ingress_hook){.at = now,
                                        .has_jobs = hook->has_jobs,
                                        .has_runs = hook->has_runs,
                                        .is_inactive = hook->is_inactive,
                                        .is_insecure = hook->is_insecure};
    copy_clean(hook->url, notes->hook.url, sizeof notes->hook.url);
    notes->version++;
    pthread_mutex_unlock(&notes->mutex);
}

void setup_notes_read(struct setup_notes *notes, struct ingress_setup *setup)
{
    pthread_mutex_lock(&notes->mutex);
    setup->wrong_signature = notes->refused[SETUP_WRONG_SIGNATURE];
    setup->without_signature = notes->refused[SETUP_WITHOUT_SIGNATURE];
    setup->wrong_path = notes->refused[SETUP_WRONG_PATH];
    memcpy(setup->path, notes->path, sizeof setup->path);
    setup->hook = notes->hook;
    setup->version = notes->version;
    pthread_mutex_unlock(&notes->mutex);
}
