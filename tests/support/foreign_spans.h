// Spans of another program as a receiver gives them to the engine. Made of static memory, which foreign_start() frees.
// A failure in these functions fails the test.
#ifndef GHATRACE_TESTS_SUPPORT_FOREIGN_SPANS_H
#define GHATRACE_TESTS_SUPPORT_FOREIGN_SPANS_H

#include "ghatrace/engine/engine.h"
#include "support/engine_bench.h"

#define FOREIGN_SPANS_MAX 20000
#define FOREIGN_SCOPES_MAX 16

// One request.
struct foreign_request {
    struct otlp_received_scope scopes[FOREIGN_SCOPES_MAX];
    size_t scope_count;
    size_t span_count; // of all scopes
    enum forward_outcome outcomes[FOREIGN_SPANS_MAX];
};

void foreign_start(struct foreign_request *request);
// The same, with one scope.
void foreign_start_scope(struct foreign_request *request);
// The spans that follow belong to this scope.
void foreign_add_scope(struct foreign_request *request, const char *service, const char *scope);
// A span with a parent, and with an attribute of `padding` bytes.
struct otlp_received_span *foreign_add_span(struct foreign_request *request,
                                            const struct trace_id *trace, struct span_id id,
                                            size_t padding);
struct span_id foreign_id(uint64_t number);
// As one task, in a batch of its own.
enum engine_outcome foreign_send(struct engine_bench *bench, struct foreign_request *request);

#endif
