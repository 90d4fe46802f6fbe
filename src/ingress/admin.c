// The admin listener: liveness and readiness, in the main loop.
#include "conversation.h"
#include "ghatrace/base/memory.h"
#include "ghatrace/ingress/ingress.h"
#include "health.h"

#define ADMIN_CONNECTIONS_MAX 64
#define ADMIN_BODY_MAX 4096 // nothing here takes one

struct admin {
    struct conversation_host host;
    struct engine *engine;
};

static bool on_head(struct conversation *conversation, const struct http_head *head)
{
    const struct admin *admin = conversation->host->context;
    struct answer answer;

    if (!health_answers(admin->engine, head, &answer))
        answer_set_error(&answer, 404, "not found");
    conversation_answer(conversation, &answer);
    return false;
}

static void on_request(struct conversation *conversation, const struct http_head *head,
                       struct slice body)
{
    struct answer answer;

    // Not reached while every head is answered.
    (void)head;
    (void)body;
    answer_set_error(&answer, 404, "not found");
    conversation_answer(conversation, &answer);
}

static void on_refused(struct conversation *conversation, int status, const char *reason)
{
    (void)conversation;
    (void)status;
    (void)reason;
}

static const struct conversation_service service = {
    .on_head = on_head,
    .on_request = on_request,
    .on_refused = on_refused,
};

static void free_admin(void *context)
{
    struct admin *admin = context;

    conversation_host_release(&admin->host);
    memory_free(admin);
}

enum error_code admin_start(struct net_loop *loop, const struct net_address *address,
                            struct engine *engine, struct admin **out, struct error *error)
{
    struct admin *admin = memory_allocate_array(1, sizeof *admin);

    if (admin == NULL)
        return error_set(error, ERROR_MEMORY, "admin listener: out of memory");
    admin->engine = engine;
    admin->host = (struct conversation_host){.loop = loop,
                                             .service = &service,
                                             .context = admin,
                                             .max_body_bytes = ADMIN_BODY_MAX,
                                             .on_empty = free_admin};
    conversation_host_init(&admin->host);
    enum error_code code =
        conversation_host_listen(&admin->host, address, false, ADMIN_CONNECTIONS_MAX, error);
    if (code != ERROR_NONE) {
        free_admin(admin);
        return code;
    }
    *out = admin;
    return ERROR_NONE;
}

const struct net_address *admin_address(const struct admin *admin)
{
    return net_listener_address(admin->host.listener);
}

void admin_stop(struct admin *admin)
{
    conversation_host_abort(&admin->host);
    // Last: with the last connection gone, the admin is.
    conversation_host_stop(&admin->host);
}
