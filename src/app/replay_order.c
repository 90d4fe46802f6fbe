// In which order recorded payloads are sent.
#include "ghatrace/app/replay.h"

// SplitMix64 (Steele, Lea, Flood 2014): small, and the same on every machine.
static uint64_t next_random(uint64_t *state)
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

// Fisher and Yates.
static void shuffle(uint32_t *order, size_t count, uint64_t seed)
{
    for (size_t i = count; i > 1; i--) {
        size_t other = (size_t)(next_random(&seed) % i);
        uint32_t kept = order[i - 1];
        order[i - 1] = order[other];
        order[other] = kept;
    }
}

uint32_t *replay_make_order(struct arena *arena, size_t count, size_t repeat,
                            enum replay_order order, uint64_t seed)
{
    size_t total;
    if (__builtin_mul_overflow(count, repeat, &total) || count > UINT32_MAX)
        return NULL;
    uint32_t *positions = arena_allocate_array(arena, total, sizeof *positions);
    if (positions == NULL)
        return NULL;
    for (size_t i = 0; i < total; i++) {
        size_t position = i % count;
        positions[i] = (uint32_t)(order == REPLAY_REVERSE ? count - 1 - position : position);
    }
    if (order == REPLAY_SHUFFLE)
        shuffle(positions, total, seed);
    return positions;
}
