// The part of the daemon that sends notices: made from the configuration, with its file of receivers, which is read
// again on SIGHUP. All functions run in the loop's thread.
#ifndef GHATRACE_APP_NOTICES_H
#define GHATRACE_APP_NOTICES_H

#include "config.h"
#include "ghatrace/base/error.h"
#include "ghatrace/notify/notices.h"

// Reads the file of receivers and sets their proxies, by the variables of the environment. ERROR_USAGE naming file and
// line, but nothing of its content; ERROR_MEMORY. Wipe the receivers afterwards, also on failure.
enum error_code notices_read_file(const struct config *config, struct notice_receivers *receivers,
                                  struct error *error) MUST_CHECK;

// All zero: nothing is sent, and each function does nothing.
struct notices_part {
    const struct config *config;
    struct notices *notices;
};

// Begins to send, if the configuration says so. `parts`: the loop, the store and the engine.
enum error_code notices_part_start(struct notices_part *part, const struct config *config,
                                   const struct notices_options *parts,
                                   struct error *error) MUST_CHECK;
// Reads the file. `*senders` is for notices_part_use(), or for notice_senders_destroy(); NULL: there is no file.
enum error_code notices_part_read(const struct notices_part *part, struct notice_senders **senders,
                                  struct error *error) MUST_CHECK;
void notices_part_use(const struct notices_part *part, struct notice_senders *senders);
// Before the engine is stopped.
void notices_part_stop(const struct notices_part *part);
// After the loop was destroyed.
void notices_part_release(struct notices_part *part);

#endif
