/* The checksum of a weights file: CRC-32 (zlib's) over the header and the data. Eight hexadecimal digits in the metadata hold it; they count as zeros. */
#include "trainer/weights_reading.h"

#include "base/file.h"

#include <string.h>
#include <zlib.h>

static const char key[] = "\"checksum\":\"";
enum { DIGITS = 8 };

const char *weights_checksum_digits(const char *header, size_t header_bytes)
{
    const char *found = memmem(header, header_bytes, key, sizeof key - 1);
    if (!found || (size_t)(found - header) + sizeof key - 1 + DIGITS > header_bytes)
        return NULL;
    return found + sizeof key - 1;
}

uint32_t weights_checksum(const char *header, size_t header_bytes, const char *digits, const struct file_part *parts, int n_parts)
{
    size_t before = (size_t)(digits - header);
    uLong sum = crc32_z(0, (const Bytef *)header, before);
    sum = crc32_z(sum, (const Bytef *)"00000000", DIGITS);
    sum = crc32_z(sum, (const Bytef *)digits + DIGITS, header_bytes - before - DIGITS);
    for (int i = 0; i < n_parts; i++)
        if (parts[i].n)
            sum = crc32_z(sum, parts[i].bytes, parts[i].n);
    return (uint32_t)sum;
}
