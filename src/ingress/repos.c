// Which repositories count.
#include "ghatrace/base/glob.h"
#include "ghatrace/ingress/ingress.h"

static bool excludes(struct slice glob)
{
    return glob.len > 0 && glob.data[0] == '!';
}

bool ingress_repository_is_wanted(const struct slice *globs, size_t count, struct slice full_name)
{
    bool is_wanted = true;

    for (size_t i = 0; i < count; i++)
        if (!excludes(globs[i]))
            is_wanted = false; // some are named: the others do not count
    for (size_t i = 0; i < count; i++) {
        struct slice glob = globs[i];
        bool is_exclusion = excludes(glob);
        if (is_exclusion)
            glob = (struct slice){.data = glob.data + 1, .len = glob.len - 1};
        if (glob_matches(glob, full_name))
            is_wanted = !is_exclusion;
    }
    return is_wanted;
}
