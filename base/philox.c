/* See philox.h. */
#include "base/philox.h"

static inline void philox_round(uint32_t c[4], uint32_t key0, uint32_t key1)
{
    uint64_t product0 = (uint64_t)0xD2511F53u * c[0];
    uint64_t product1 = (uint64_t)0xCD9E8D57u * c[2];
    uint32_t c1 = c[1], c3 = c[3];
    c[0] = (uint32_t)(product1 >> 32) ^ c1 ^ key0;
    c[1] = (uint32_t)product1;
    c[2] = (uint32_t)(product0 >> 32) ^ c3 ^ key1;
    c[3] = (uint32_t)product0;
}

struct philox_block philox(uint64_t key, uint64_t counter_high, uint64_t counter_low)
{
    struct philox_block block = {{ (uint32_t)counter_low, (uint32_t)(counter_low >> 32), (uint32_t)counter_high, (uint32_t)(counter_high >> 32) }};
    uint32_t key0 = (uint32_t)key, key1 = (uint32_t)(key >> 32);
    for (int round = 0; round < 10; round++) {
        philox_round(block.word, key0, key1);
        key0 += 0x9E3779B9u;
        key1 += 0xBB67AE85u;
    }
    return block;
}

uint64_t philox_key(uint64_t seed, uint64_t purpose)
{
    struct philox_block block = philox(0x6F6E65737465700Au, seed, purpose);
    return (uint64_t)block.word[1] << 32 | block.word[0];
}

uint64_t hash_name(const char *name)
{
    uint64_t hash = 0xCBF29CE484222325u;
    for (; *name; name++)
        hash = (hash ^ (unsigned char)*name) * 0x100000001B3u;
    return hash;
}
