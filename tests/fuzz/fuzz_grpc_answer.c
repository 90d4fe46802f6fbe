// A collector's answer to a gRPC call. The first three lines are grpc-status, grpc-message and
// grpc-status-details-bin; the first byte of the first says whether they are trailers; the rest is the body.
#include "../../src/export/grpc.h"
#include "fuzz.h"
#include "ghatrace/base/utf8.h"

static bool has_control(const char *text)
{
    for (; *text != '\0'; text++)
        if ((unsigned char)*text < 0x20 || *text == 0x7f)
            return true;
    return false;
}

static void check_answer(const struct export_answer *answer, struct slice body)
{
    static const struct mask_list no_masks = {.count = 0};
    char text[ANSWER_TEXT_SIZE];
    int64_t rejected;
    const struct export_facts facts = answer_facts(answer, EXPORT_ANSWERED);
    struct export_class class = export_classify(&facts);
    MUST(answer->grpc_code >= EXPORT_NO_GRPC_CODE && answer->grpc_code <= GRPC_UNAUTHENTICATED);
    MUST((class.outcome == EXPORT_SENT) == (answer->grpc_code == GRPC_OK));
    MUST(class.outcome != EXPORT_ABOUT_DATA || answer->grpc_code == GRPC_INVALID_ARGUMENT);
    MUST(answer->retry_after >= 0 && (answer->retry_after == 0 || answer->has_retry_info));
    MUST(answer->grpc_code != EXPORT_NO_GRPC_CODE || answer->body.len == body.len);
    answer_describe(answer, &no_masks, text);
    MUST(!has_control(text) && utf8_is_valid(slice_from_string(text)));
    if (answer_read_partial(answer, &no_masks, &rejected, text))
        MUST(rejected >= 0 && !has_control(text));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice rest = fuzz_slice(data, size);
    const struct slice status = fuzz_take_line(&rest);
    const bool has_trailers = status.len > 0 && status.data[0] != ' ';
    const struct slice message = fuzz_take_line(&rest);
    const struct slice details = fuzz_take_line(&rest);
    const struct grpc_status_fields fields = {status, message, details};
    struct grpc_response response = {.encoding = SLICE("gzip"), .body = rest};
    *(has_trailers ? &response.trailers : &response.headers) = fields;
    struct export_answer answer = {.status = 200, .content_type = SLICE("application/grpc")};
    struct arena arena;
    arena_init(&arena, 4096);
    grpc_read_answer(&response, &arena, &answer);
    check_answer(&answer, rest);
    arena_release(&arena);
    return 0;
}
