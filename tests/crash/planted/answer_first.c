// A daemon with a fault: it answers before the commit. A transaction of deliveries is committed when the next one begins.
/* wrap: store_begin store_commit */
#include "ghatrace/store/store.h"

#include <unistd.h>

enum error_code __real_store_begin(struct store *store, bool is_write,
                                   struct store_transaction **transaction, struct error *error);
enum error_code __real_store_commit(struct store_transaction *transaction, struct error *error);
enum error_code __wrap_store_begin(struct store *store, bool is_write,
                                   struct store_transaction **transaction, struct error *error);
enum error_code __wrap_store_commit(struct store_transaction *transaction, struct error *error);

// Only the engine writes.
static struct store_transaction *writing, *delayed;

enum error_code __wrap_store_begin(struct store *store, bool is_write,
                                   struct store_transaction **transaction, struct error *error)
{
    if (is_write && delayed != NULL) {
        enum error_code code = __real_store_commit(delayed, error);
        delayed = NULL;
        if (code != ERROR_NONE)
            return code;
    }
    enum error_code code = __real_store_begin(store, is_write, transaction, error);
    if (is_write && code == ERROR_NONE)
        writing = *transaction;
    return code;
}

enum error_code __wrap_store_commit(struct store_transaction *transaction, struct error *error)
{
    // A transaction ends in the thread that began it: those of the start are not delayed.
    if (transaction != writing || getpid() == gettid())
        return __real_store_commit(transaction, error);
    delayed = transaction;
    return ERROR_NONE;
}
