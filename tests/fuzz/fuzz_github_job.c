// workflow_job bodies, from JSON to spans in both encodings.
#include "event_path.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    walk_event(SLICE("workflow_job"), fuzz_slice(data, size));
    return 0;
}
