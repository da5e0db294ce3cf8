/* See nearest.h. The edit distance is the usual table, three rows of it at a time: the third is what a swap looks back to. */
#include "base/nearest.h"

#include <ctype.h>
#include <limits.h>
#include <stddef.h>
#include <string.h>

enum { LETTERS = 63 };

static int smaller(int a, int b) { return a < b ? a : b; }

static int letter(char c) { return tolower((unsigned char)c); }

static int edits(const char *a, const char *b)
{
    int rows[3][LETTERS + 1];
    int n_a = (int)strnlen(a, LETTERS), n_b = (int)strnlen(b, LETTERS);
    for (int j = 0; j <= n_b; j++)
        rows[0][j] = j;
    for (int i = 1; i <= n_a; i++) {
        int *row = rows[i % 3];
        const int *above = rows[(i + 2) % 3], *above2 = rows[(i + 1) % 3];
        row[0] = i;
        for (int j = 1; j <= n_b; j++) {
            int replaced = above[j - 1] + (letter(a[i - 1]) != letter(b[j - 1]));
            row[j] = smaller(replaced, 1 + smaller(above[j], row[j - 1]));
            if (i > 1 && j > 1 && letter(a[i - 1]) == letter(b[j - 2]) && letter(a[i - 2]) == letter(b[j - 1]))
                row[j] = smaller(row[j], above2[j - 2] + 1);
        }
    }
    return rows[n_a % 3][n_b];
}

const char *nearest_name(const char *name, const char *const *candidates)
{
    const char *nearest = NULL;
    int fewest = INT_MAX;
    for (; *candidates; candidates++) {
        int n = edits(name, *candidates);
        if (n < fewest) {
            fewest = n;
            nearest = *candidates;
        }
    }
    return nearest;
}
