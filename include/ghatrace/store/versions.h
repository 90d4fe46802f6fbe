// All versions of the stored data: one of the whole store, and one of each kind of record whose byte layout this
// program defines. Exported records are OTLP, where readers skip unknown fields, and need no version.
//
// All versions from the oldest supported one on can be read, the newest is written, and a state is upgraded the next
// time it is written. A store that a newer version has opened is refused: its records would look damaged.
//
// In the database `meta`: "format" → be32 version of the store; "layouts" → be32 FNV-1a of what follows ‖ for each
// kind its letter ‖ the layout that was written when the store was created ‖ the newest that was ever written, a byte
// each. If "layouts" is missing (older stores) or damaged, any supported layout may be present.
//
// History, with the fixture (tests/fixtures/store) that preserves it:
//   format 1    dea6e4c   deliveries as 24-byte keys, sent runs and jobs as states
//   format 2              deliveries and sent runs and jobs as notes in blocks (store.h). The older program refuses it
//   jobs 1      dea6e4c   no server; for a closed job not which of its ends was sent
//   jobs 2      11056d7   server, state of a closed job, which result was counted
//   jobs 3      72bf33c   when ARC reports it was assigned, and since when that is waited for
//   jobs 4                when a job that was given up had ended, as far as was known
//   runs 1      dea6e4c   no server, the worst of the jobs' results; for a closed run not which of its ends was sent
//   runs 2                server, number of jobs by result, digest of the root, whether names are kept
//   figures 1   dea6e4c   each spelling of the runners' labels is a pool of its own
//   figures 2   f437918   one pool for all spellings
//   figures 3   72bf33c   one pool for all runner groups; rules name pools
//   figures 4   78508ee   series show which labels they have, and when they began; waits are counted when a job starts;
//                         minutes and hours of pools
//   figures 5             the runs of each commit, which the list of finished runs names
//   notes 1     11056d7   six kinds (store.h)
//   notes 2               when ARC assigned a job. More bytes in a kind, or another kind: raise it
//
// To store one more field of a job or a run:
//   1. Raise the number in the last column of its row to N, and add a line above.
//   2. A member of a body: give its row in github/event.h layout N. Any other: in codec.c, at the end of the function
//      that visits the struct (before any early return that may skip it), visit the field under
//      `if (visitor->layout >= N)`. Read from an older layout it stays 0, empty or false, and the rest of the program
//      must take that for "not known".
//   3. A field that is no longer wanted is still visited, into a local variable, under `layout < N`.
//   4. Add its row to the table in tests/unit/store/test_codec.c, which writes layout N - 1 and reads it; that test
//      fails as long as a layout has no row.
//   5. Keep a store of the layout before in tests/fixtures/store (its README says how).
#ifndef GHATRACE_STORE_VERSIONS_H
#define GHATRACE_STORE_VERSIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ghatrace/base/error.h"
#include "ghatrace/base/slice.h"

#define STORE_FORMAT_VERSION 2
#define STORE_FORMAT_OLDEST 1 // oldest format that can be read

// Name, letter, word, oldest layout that can be read, layout that is written. Letters are never reused.
#define STORE_KINDS(X)                                                                             \
    X(JOB, 'J', "jobs", 1, 4)                                                                      \
    X(RUN, 'R', "runs", 1, 2)                                                                      \
    X(NOTE, 'N', "notes", 1, 2)                                                                    \
    X(FIGURES, 'F', "figures", 1, 5)

#define STORE_KIND_NAME(name, letter, word, oldest, newest) STORE_KIND_##name,
#define STORE_KIND_LAYOUTS(name, letter, word, oldest, newest)                                     \
    STORE_##name##_LAYOUT_OLDEST = (oldest), STORE_##name##_LAYOUT = (newest),
#define STORE_KIND_LETTER(name, letter, word, oldest, newest) STORE_##name##_LETTER = (letter),
enum store_kind { STORE_KINDS(STORE_KIND_NAME) STORE_KIND_COUNT };
enum store_layout { STORE_KINDS(STORE_KIND_LAYOUTS) };
enum store_letter { STORE_KINDS(STORE_KIND_LETTER) };

struct store;

// What a daemon found when it opened the store, before its first write.
struct store_found {
    uint32_t format;                  // 0: there was no store
    uint64_t older[STORE_KIND_COUNT]; // states of older layouts; of jobs and runs only
    uint64_t older_deliveries;        // entries of format 1
    bool has_older_figures;           // upgraded at this start
    bool has_more;                    // there are more states than were checked
};
// For a daemon's store; valid as long as the store is open.
const struct store_found *store_found(const struct store *store);

#define STORE_FOUND_TEXT_SIZE 200
// Describes what will be upgraded: "12 jobs, 7 runs, 64 deliveries, figures"; or "nothing".
void store_found_text(const struct store_found *found, char text[STORE_FOUND_TEXT_SIZE]);

#endif
