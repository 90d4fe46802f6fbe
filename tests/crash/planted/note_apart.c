// A daemon with a fault: it stores that it has received a delivery in a second transaction, after that with the effect.
/* wrap: store_begin store_commit store_remember_delivery */
#include "ghatrace/store/store.h"

#include <stdlib.h>

#define DELIVERIES_MAX 4096

enum error_code __real_store_begin(struct store *store, bool is_write,
                                   struct store_transaction **transaction, struct error *error);
enum error_code __real_store_commit(struct store_transaction *transaction, struct error *error);
enum error_code __real_store_remember_delivery(struct store_transaction *transaction,
                                               const struct store_delivery *delivery,
                                               duration_ns linger, bool *is_duplicate,
                                               struct error *error);
enum error_code __wrap_store_begin(struct store *store, bool is_write,
                                   struct store_transaction **transaction, struct error *error);
enum error_code __wrap_store_commit(struct store_transaction *transaction, struct error *error);
enum error_code __wrap_store_remember_delivery(struct store_transaction *transaction,
                                               const struct store_delivery *delivery,
                                               duration_ns linger, bool *is_duplicate,
                                               struct error *error);

// Only the engine writes.
static struct store *written;
static struct store_transaction *writing;
static struct store_delivery later[DELIVERIES_MAX];
static size_t later_count;
static duration_ns later_linger;

enum error_code __wrap_store_begin(struct store *store, bool is_write,
                                   struct store_transaction **transaction, struct error *error)
{
    enum error_code code = __real_store_begin(store, is_write, transaction, error);
    if (is_write && code == ERROR_NONE) {
        written = store;
        writing = *transaction;
    }
    return code;
}

enum error_code __wrap_store_remember_delivery(struct store_transaction *transaction,
                                               const struct store_delivery *delivery,
                                               duration_ns linger, bool *is_duplicate,
                                               struct error *error)
{
    enum error_code code = store_has_guid(transaction, delivery, is_duplicate, error);
    if (code != ERROR_NONE || *is_duplicate)
        return code;
    if (later_count == DELIVERIES_MAX)
        abort();
    later[later_count++] = *delivery;
    later_linger = linger;
    return ERROR_NONE;
}

enum error_code __wrap_store_commit(struct store_transaction *transaction, struct error *error)
{
    bool is_ours = transaction == writing;
    struct store_transaction *second;
    enum error_code code = __real_store_commit(transaction, error);
    if (!is_ours || code != ERROR_NONE || later_count == 0)
        return code;
    code = __real_store_begin(written, true, &second, error);
    for (size_t i = 0; i < later_count && code == ERROR_NONE; i++) {
        bool is_duplicate;
        code =
            __real_store_remember_delivery(second, &later[i], later_linger, &is_duplicate, error);
    }
    later_count = 0;
    return code == ERROR_NONE ? __real_store_commit(second, error) : code;
}
