// Which servers there are.
#include "ghatrace/tally/servers.h"

#include "private.h"

#define PREFIX SLICE("server:")
#define KEY_MAX 511

static bool is_remembered(const struct tally *tally, const uint8_t hash[HASH_SIZE])
{
    for (size_t i = 0; i < KNOWN_SERVERS; i++)
        if (memcmp(tally->known_servers[i], hash, HASH_SIZE) == 0)
            return true;
    return false;
}

static void put_in_memory(struct tally *tally, const uint8_t hash[HASH_SIZE])
{
    memcpy(tally->known_servers[tally->next_server], hash, HASH_SIZE);
    tally->next_server = (tally->next_server + 1) % KNOWN_SERVERS;
}

enum error_code servers_note(struct tally *tally, struct slice server, struct error *error)
{
    char bytes[KEY_MAX];
    uint8_t hash[HASH_SIZE];
    struct slice found;
    if (server.len == 0 || server.len > sizeof bytes - PREFIX.len)
        return ERROR_NONE;
    tally_hash(server, hash);
    if (is_remembered(tally, hash))
        return ERROR_NONE;
    memcpy(bytes, PREFIX.data, PREFIX.len);
    memcpy(bytes + PREFIX.len, server.data, server.len);
    struct slice key = {bytes, PREFIX.len + server.len};
    enum error_code code =
        store_table_get(tally->transaction, STORE_TABLE_TALLY, key, &found, error);
    // One that this transaction has put there is gone again if it is aborted.
    if (code == ERROR_NONE && !tally->has_new_server)
        put_in_memory(tally, hash);
    if (code != ERROR_NOT_FOUND)
        return code;
    if (store_table_count(tally->transaction, STORE_TABLE_TALLY) >= SERVERS_MAX + TALLY_OWN_KEYS) {
        put_in_memory(tally, hash);
        return ERROR_NONE;
    }
    tally->has_new_server = true;
    return store_table_put(tally->transaction, STORE_TABLE_TALLY, key, SLICE_EMPTY, error);
}

enum error_code servers_list(struct store_transaction *transaction, struct arena *arena,
                             struct slice servers[SERVERS_MAX], size_t *count, struct error *error)
{
    struct store_walk *walk;
    struct slice key;
    struct slice value;
    *count = 0;
    enum error_code code = store_table_walk(transaction, STORE_TABLE_TALLY, PREFIX, &walk, error);
    if (code != ERROR_NONE)
        return code;
    while (*count < SERVERS_MAX &&
           (code = store_table_next(walk, &key, &value, error)) == ERROR_NONE) {
        if (!slice_starts_with(key, PREFIX))
            continue;
        struct slice name = {key.data + PREFIX.len, key.len - PREFIX.len};
        if (!arena_copy_slice(arena, name, &servers[*count])) {
            code = error_set(error, ERROR_MEMORY, "list servers: out of memory");
            break;
        }
        (*count)++;
    }
    store_table_end_walk(walk);
    return code == ERROR_NOT_FOUND ? ERROR_NONE : code;
}
