// workflow_run bodies, from JSON to the root span in both encodings.
#include "event_path.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    walk_event(SLICE("workflow_run"), fuzz_slice(data, size));
    return 0;
}
