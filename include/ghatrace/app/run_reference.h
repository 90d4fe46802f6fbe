// How people name a run: by number, or by the address of its page.
#ifndef GHATRACE_APP_RUN_REFERENCE_H
#define GHATRACE_APP_RUN_REFERENCE_H

#include <stdbool.h>
#include <stdint.h>

#include "ghatrace/base/slice.h"

struct run_reference {
    int64_t run_id;
    int64_t attempt; // 0: not said
    int64_t job_id;  // 0: not said
    struct slice
        server; // what stands before "/actions/runs/", for github_server_of_name(); empty: not said
};

// "123", "123/2", "https://HOST/OWNER/NAME/actions/runs/123", the same with "/attempts/2" and with
// "/job/456", any query or fragment behind. False on anything else. All numbers are above 0.
bool run_reference_parse(struct slice text, struct run_reference *reference);

#endif
