// TLS between a server and a client on one loop: bytes, ends, certificates.
#include "tls_world.h"

#include "ghatrace/base/memory.h"

static void expect_bytes(const struct peer *peer, const char *text)
{
    assert_int_equal(peer->taken.len, strlen(text));
    assert_memory_equal(peer->taken.data, text, strlen(text));
}

static void write_text(struct peer *peer, const char *text)
{
    assert_int_equal(net_connection_write(peer->connection, text, strlen(text)), ERROR_NONE);
}

static void bytes_pass_both_ways(void **state)
{
    struct tls_world world;

    (void)state;
    world_set_up(&world, server_tls("server", NULL));
    world.server.echoes = true;
    world.client.stop_at = 5;
    world_connect(&world, client_tls("ca.pem", "client"));
    write_text(&world.client, "hello"); // kept until the handshake is over
    net_loop_run(world.loop);
    expect_bytes(&world.client, "hello");
    expect_bytes(&world.server, "hello");
    assert_true(world_is_connected(&world));
    world_tear_down(&world);
}

static void the_end_of_one_side_is_told_to_the_other(void **state)
{
    struct tls_world world;

    (void)state;
    world_set_up(&world, server_tls("server", NULL));
    world.server.finishes_on_data = true;
    world.server.answer = "bye";
    world_connect(&world, client_tls("ca.pem", "client"));
    write_text(&world.client, "hello");
    peer_run_until_closed(&world.client);
    expect_bytes(&world.client, "bye");
    assert_int_equal(world.client.ends, 1);
    assert_int_equal(world.client.reason, NET_CLOSED_BY_PEER);
    peer_run_until_closed(&world.server);
    assert_int_equal(world.server.reason, NET_CLOSED_BY_US);
    world_tear_down(&world);
}

#define MUCH ((size_t)8 << 20)

static char *make_pattern(size_t len)
{
    char *data = memory_allocate(len);

    assert_non_null(data);
    for (size_t i = 0; i < len; i++)
        data[i] = pattern_at(i);
    return data;
}

static void much_data_arrives_whole_though_the_reader_pauses(void **state)
{
    struct tls_world world;

    (void)state;
    world_set_up(&world, server_tls("server", NULL));
    world.server.pause_at = MUCH / 3;
    world.server.stop_at = MUCH / 3;
    world_connect(&world, client_tls("ca.pem", "client"));
    char *data = make_pattern(MUCH);
    assert_int_equal(net_connection_write_owned(world.client.connection, data, MUCH), ERROR_NONE);
    net_loop_run(world.loop);
    run_for(world.loop, 50 * NS_PER_MS);
    assert_in_range(world.server.taken.len, MUCH / 3, MUCH / 3 + (1 << 17));
    assert_true(net_connection_unsent(world.client.connection) > 0);
    world.server.pause_at = 0;
    world.server.stop_at = MUCH;
    net_connection_resume(world.server.connection);
    while (world.server.taken.len < MUCH)
        net_loop_run(world.loop);
    assert_int_equal(world.server.taken.len, MUCH);
    for (size_t i = 0; i < MUCH; i++) {
        if (world.server.taken.data[i] != pattern_at(i))
            fail_msg("byte %zu differs", i);
    }
    world_tear_down(&world);
}

static void much_data_is_echoed_in_small_takes(void **state)
{
    struct tls_world world;
    size_t much = (size_t)1 << 20;

    (void)state;
    world_set_up(&world, server_tls("server", NULL));
    world.server.echoes = true;
    world.client.stop_at = much;
    world_connect(&world, client_tls("ca.pem", "client"));
    assert_int_equal(net_connection_write_owned(world.client.connection, make_pattern(much), much),
                     ERROR_NONE);
    while (world.client.taken.len < much)
        net_loop_run(world.loop);
    for (size_t i = 0; i < much; i++)
        assert_int_equal(world.client.taken.data[i], pattern_at(i));
    world_tear_down(&world);
}

// Records that were read with others wait inside the library, of which the socket knows nothing.
static void what_waits_inside_is_offered_after_a_pause(void **state)
{
    struct tls_world world;

    (void)state;
    world_set_up(&world, server_tls("server", NULL));
    world.server.pause_at = 1;
    world.server.stop_at = 1;
    world_connect(&world, client_tls("ca.pem", "client"));
    char *data = make_pattern(200000);
    assert_int_equal(net_connection_write_owned(world.client.connection, data, 200000), ERROR_NONE);
    size_t pauses = 0;
    for (; world.server.taken.len < 200000; pauses++) {
        net_loop_run(world.loop);
        run_for(world.loop, NS_PER_MS);
        net_connection_resume(world.server.connection);
    }
    assert_true(pauses >= 3);
    for (size_t i = 0; i < 200000; i++)
        assert_int_equal(world.server.taken.data[i], pattern_at(i));
    world_tear_down(&world);
}

static void every_kind_of_key_and_chain_works(void **state)
{
    static const char *const names[] = {"server", "rsa", "chained"};

    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        struct tls_world world;
        world_set_up(&world, server_tls(names[i], NULL));
        world.server.echoes = true;
        world.client.stop_at = 5;
        world_connect(&world, client_tls("ca.pem", "client"));
        write_text(&world.client, names[i]);
        write_text(&world.client, "-----");
        net_loop_run(world.loop);
        assert_int_equal(world.client.closes, 0);
        world_tear_down(&world);
    }
}

static void client_certificates_are_asked_for_when_an_authority_is_set(void **state)
{
    static const struct {
        const char *client;
        bool is_taken;
    } cases[] = {{"client", true}, {"foreign", false}, {"expired", false}};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct tls_world world;
        world_set_up(&world, server_tls("server", "ca.pem"));
        world.server.echoes = true;
        world.client.stop_at = 5;
        world_connect(&world, client_tls("ca.pem", cases[i].client));
        write_text(&world.client, "hello");
        while (world.client.closes == 0 && world.client.taken.len < 5)
            net_loop_run(world.loop);
        // TLS 1.3: the client learns it only after its own part is done.
        assert_int_equal(world.client.taken.len, cases[i].is_taken ? 5 : 0);
        assert_int_equal(world.server.taken.len, cases[i].is_taken ? 5 : 0);
        world_tear_down(&world);
    }
}

static void a_new_certificate_is_for_new_connections_and_the_old_live_on(void **state)
{
    struct tls_world world;
    struct peer first;

    (void)state;
    world_set_up(&world, server_tls("foreign", NULL));
    world.server.echoes = true;
    world.client.stop_at = 3;
    world_connect(&world, client_tls("other-ca.pem", "client"));
    write_text(&world.client, "old");
    net_loop_run(world.loop);
    expect_bytes(&world.client, "old");
    first = world.client;

    struct net_tls *fresh = server_tls("renewed", NULL);
    net_listener_use_tls(world.listener, fresh);
    net_tls_unref(fresh);
    net_connection_set_context(first.connection, &first);
    peer_init(&world.client, world.loop);
    world.client.stop_at = 3;
    struct net_connection *old_connection = world.server.connection;
    world_connect(&world, client_tls("ca.pem", "client"));
    write_text(&world.client, "new");
    // Both servers' connections report to the same owner; echoes go by its present connection, so the old one
    // gets an owner of its own.
    struct peer old_owner;
    peer_init(&old_owner, world.loop);
    old_owner.echoes = true;
    old_owner.connection = old_connection;
    net_connection_set_context(old_connection, &old_owner);
    net_loop_run(world.loop);
    expect_bytes(&world.client, "new");

    first.stop_at = 6;
    write_text(&first, "old");
    net_loop_run(world.loop);
    expect_bytes(&first, "oldold");
    peer_release(&first);
    peer_release(&old_owner);
    world_tear_down(&world);
}

static void contexts_made_together_are_alike(void **state)
{
    const struct net_tls_server_options options = {.certificate_file =
                                                       certificate_path("server.pem"),
                                                   .key_file = certificate_path("server.key")};
    struct net_tls *both[2];
    struct error error;

    (void)state;
    assert_int_equal(net_tls_create_servers(&options, both, 2, &error), ERROR_NONE);
    net_tls_unref(both[0]); // the other needs nothing of it
    struct tls_world world;
    world_set_up(&world, both[1]);
    world.server.echoes = true;
    world.client.stop_at = 5;
    world_connect(&world, client_tls("ca.pem", "client"));
    write_text(&world.client, "hello");
    net_loop_run(world.loop);
    expect_bytes(&world.client, "hello");
    world_tear_down(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_pass_both_ways),
        cmocka_unit_test(the_end_of_one_side_is_told_to_the_other),
        cmocka_unit_test(much_data_arrives_whole_though_the_reader_pauses),
        cmocka_unit_test(much_data_is_echoed_in_small_takes),
        cmocka_unit_test(what_waits_inside_is_offered_after_a_pause),
        cmocka_unit_test(every_kind_of_key_and_chain_works),
        cmocka_unit_test(client_certificates_are_asked_for_when_an_authority_is_set),
        cmocka_unit_test(a_new_certificate_is_for_new_connections_and_the_old_live_on),
        cmocka_unit_test(contexts_made_together_are_alike),
    };
    return cmocka_run_group_tests(tests, make_certificates, remove_certificates);
}
