// GET /health (alive) and GET /ready (can accept).
#include "health.h"

static void answer_ready(struct engine *engine, struct ingress *ingress, struct answer *answer)
{
    struct error error = {.code = ERROR_NONE};
    enum error_code code = engine_ready(engine, &error);
    if (code == ERROR_NONE && ingress != NULL)
        code = ingress_ready(ingress, &error);

    const char *export_note = engine_export_note(engine);

    if (code == ERROR_NONE && export_note != NULL)
        answer_set_ready(answer, export_note);
    else if (code == ERROR_NONE)
        answer_set(answer, 200, SLICE("{\"status\":\"ready\"}\n"));
    else
        answer_set_unavailable(answer, error.code == code ? error.message : error_code_text(code));
}

bool health_answers(struct engine *engine, struct ingress *ingress, const struct http_head *head,
                    struct answer *answer)
{
    bool is_health = slice_equals(head->path, SLICE("/health"));

    if (!is_health && !slice_equals(head->path, SLICE("/ready")))
        return false;
    if (!slice_equals(head->method, SLICE("GET")) && !slice_equals(head->method, SLICE("HEAD")))
        answer_set_wrong_method(answer, "GET, HEAD");
    else if (is_health)
        answer_set(answer, 200, SLICE("{\"status\":\"healthy\"}\n"));
    else
        answer_ready(engine, ingress, answer);
    return true;
}
