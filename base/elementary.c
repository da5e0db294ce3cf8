/* See elementary.h. The methods: reduction by a constant in two parts (Cody and Waite, "Software manual for the
 * elementary functions", 1980); tables of powers and logarithms whose entries carry what was rounded off (Tang,
 * "Table-driven implementation of the exponential function", 1989, and "of the logarithm function", 1990); sums and
 * products with their errors (Dekker, "A floating-point technique for extending the available precision", 1971; Knuth);
 * the polynomials of sine and cosine are those of fdlibm (Sun Microsystems, 1993). */
#include "base/elementary.h"

#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#if FLT_EVAL_METHOD != 0
#error "sums and products of doubles must be rounded to doubles"
#endif

/* ---- sums and products with their errors ---- */

struct pair { double high, low; }; /* their sum, unevaluated; high is the sum rounded */

static inline struct pair sum(double a, double b)
{
    const double s = a + b, b_part = s - a;
    return (struct pair){ s, (a - (s - b_part)) + (b - b_part) };
}

/* |a| >= |b|, or a is 0. */
static inline struct pair sum_ordered(double a, double b)
{
    const double s = a + b;
    return (struct pair){ s, b - (s - a) };
}

/* 26 bits and the rest. |a| below 2^995. */
static inline struct pair halves(double a)
{
    const double c = 0x1.000002p+27 * a, high = c - (c - a);
    return (struct pair){ high, a - high };
}

static inline struct pair product(double a, double b)
{
    const struct pair x = halves(a), y = halves(b);
    const double p = a * b;
    return (struct pair){ p, ((x.high * y.high - p) + x.high * y.low + x.low * y.high) + x.low * y.low };
}

static inline uint64_t bits_of(double x)
{
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static inline double double_of(uint64_t bits)
{
    double x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* 2^n, a normal number. */
static inline double power_of_two(int n) { return double_of((uint64_t)(n + 1023) << 52); }

/* The nearest whole number, of two the even one; |x| below 2^51. */
static inline double nearest(double x) { return (x + 0x1.8p52) - 0x1.8p52; }

/* c[0] + c[1] x + ... + c[n - 1] x^(n - 1), by Horner's rule. */
static inline double polynomial(const double *c, int n, double x)
{
    double value = c[n - 1];
    for (int i = n - 2; i >= 0; i--)
        value = c[i] + x * value;
    return value;
}

/* ---- exponential ---- */

/* 2^(i/32): rounded, and what was rounded off. */
static const struct pair roots[32] = {
    { 0x1p+0, 0 },
    { 0x1.059b0d3158574p+0, 0x1.d73e2a475b465p-55 },
    { 0x1.0b5586cf9890fp+0, 0x1.8a62e4adc610bp-54 },
    { 0x1.11301d0125b51p+0, -0x1.6c51039449b3ap-54 },
    { 0x1.172b83c7d517bp+0, -0x1.19041b9d78a76p-55 },
    { 0x1.1d4873168b9aap+0, 0x1.e016e00a2643cp-54 },
    { 0x1.2387a6e756238p+0, 0x1.9b07eb6c70573p-54 },
    { 0x1.29e9df51fdee1p+0, 0x1.612e8afad1255p-55 },
    { 0x1.306fe0a31b715p+0, 0x1.6f46ad23182e4p-55 },
    { 0x1.371a7373aa9cbp+0, -0x1.63aeabf42eae2p-54 },
    { 0x1.3dea64c123422p+0, 0x1.ada0911f09ebcp-55 },
    { 0x1.44e086061892dp+0, 0x1.89b7a04ef80dp-59 },
    { 0x1.4bfdad5362a27p+0, 0x1.d4397afec42e2p-56 },
    { 0x1.5342b569d4f82p+0, -0x1.07abe1db13cadp-55 },
    { 0x1.5ab07dd485429p+0, 0x1.6324c054647adp-54 },
    { 0x1.6247eb03a5585p+0, -0x1.383c17e40b497p-54 },
    { 0x1.6a09e667f3bcdp+0, -0x1.bdd3413b26456p-54 },
    { 0x1.71f75e8ec5f74p+0, -0x1.16e4786887a99p-55 },
    { 0x1.7a11473eb0187p+0, -0x1.41577ee04992fp-55 },
    { 0x1.82589994cce13p+0, -0x1.d4c1dd41532d8p-54 },
    { 0x1.8ace5422aa0dbp+0, 0x1.6e9f156864b27p-54 },
    { 0x1.93737b0cdc5e5p+0, -0x1.75fc781b57ebcp-57 },
    { 0x1.9c49182a3f09p+0, 0x1.c7c46b071f2bep-56 },
    { 0x1.a5503b23e255dp+0, -0x1.d2f6edb8d41e1p-54 },
    { 0x1.ae89f995ad3adp+0, 0x1.7a1cd345dcc81p-54 },
    { 0x1.b7f76f2fb5e47p+0, -0x1.5584f7e54ac3bp-56 },
    { 0x1.c199bdd85529cp+0, 0x1.11065895048ddp-55 },
    { 0x1.cb720dcef9069p+0, 0x1.503cbd1e949dbp-56 },
    { 0x1.d5818dcfba487p+0, 0x1.2ed02d75b3707p-55 },
    { 0x1.dfc97337b9b5fp+0, -0x1.1a5cd4f184b5cp-54 },
    { 0x1.ea4afa2a490dap+0, -0x1.e9c23179c2893p-54 },
    { 0x1.f50765b6e454p+0, 0x1.9d3e12dd8a18bp-54 },
};

static const double thirty_seconds = 0x1.71547652b82fep+5;                   /* 32/ln 2 */
static const struct pair step = { 0x1.62e42fefap-6, 0x1.cf79abc9e3b3ap-45 }; /* ln 2/32; the first part has 36 bits */

static const double factorials[6] = { /* 1/2!, 1/3!, ... */
    0.5, 0x1.5555555555555p-3, 0x1.5555555555555p-5, 0x1.1111111111111p-7, 0x1.6c16c16c16c17p-10, 0x1.a01a01a01a01ap-13,
};

/* e^(x.high + x.low), which may be too large or too small for a double. */
static double exp_of(struct pair x)
{
    if (x.high > 1000)
        return INFINITY;
    if (x.high < -1000)
        return 0;
    const double k = nearest(x.high * thirty_seconds);
    const double r = ((x.high - k * step.high) - k * step.low) + x.low;
    const double p = r + r * r * polynomial(factorials, 6, r);
    const int n = (int)k, whole = n >> 5, half = whole / 2;
    const struct pair root = roots[n & 31];
    return (root.high + (root.low + root.high * p)) * power_of_two(half) * power_of_two(whole - half);
}

double elementary_exp(double x) { return isnan(x) ? x + x : exp_of((struct pair){ x, 0 }); }

/* In doubles, whose error is far below what a float's rounding shows. */
float elementary_expf(float x)
{
    if (!(fabsf(x) < 110))
        return isnan(x) ? x + x : x > 0 ? INFINITY : 0;
    const double k = nearest((double)x * thirty_seconds);
    const double r = (double)x - k * (step.high + step.low), square = r * r;
    const double p = r + square * ((0.5 + r * 0x1.5555555555555p-3) + square * 0x1.5555555555555p-5);
    const int n = (int)k;
    const double root = double_of(bits_of(roots[n & 31].high) + ((uint64_t)(n >> 5) << 52));
    return (float)(root + root * p);
}

/* ---- logarithm ---- */

/* For each 32nd from 1 on: a factor of ten bits that takes it near 1 (from the 13th on, half of it), and minus the
 * factor's logarithm. */
static const struct {
    double factor;
    struct pair log;
} inverses[32] = {
    { 0x1p+0, { 0, 0 } },
    { 0x1.e9p-1, { 0x1.788595a3577bap-5, 0x1.e5ef898b67923p-59 } },
    { 0x1.dbp-1, { 0x1.333d7f8183f4bp-4, 0x1.a92afc8ef70b1p-58 } },
    { 0x1.cep-1, { 0x1.a4e7640b1bc38p-4, -0x1.5b5ca203e4259p-58 } },
    { 0x1.c1p-1, { 0x1.0ce7ecdccc28dp-3, -0x1.692a0055dc959p-57 } },
    { 0x1.b5p-1, { 0x1.4462b9dc9b3dcp-3, -0x1.629c46c186385p-58 } },
    { 0x1.aap-1, { 0x1.7898d85444c73p-3, 0x1.ef8f6ebcfb201p-58 } },
    { 0x1.9fp-1, { 0x1.ae2ca6f672bd4p-3, 0x1.ab5ca9eaa088ap-57 } },
    { 0x1.95p-1, { 0x1.e020cc6235ab5p-3, 0x1.fea48dd7b81d1p-58 } },
    { 0x1.8bp-1, { 0x1.09aa572e6c6d4p-2, 0x1.43c2e68684d53p-57 } },
    { 0x1.82p-1, { 0x1.214456d0eb8d4p-2, 0x1.f7ae91aeba60ap-57 } },
    { 0x1.79p-1, { 0x1.396ce359bbf54p-2, -0x1.ce2b31b31e8bp-58 } },
    { 0x1.7p-1, { 0x1.522ae0738a3d8p-2, -0x1.8f7e9b38a6979p-57 } },
    { 0x1.68p+0, { -0x1.5d1bdbf5809cap-2, -0x1.4236383dc7fe1p-56 } },
    { 0x1.608p+0, { -0x1.478cd5959b3d9p-2, -0x1.37e191a12fb48p-58 } },
    { 0x1.59p+0, { -0x1.31871c9544185p-2, 0x1.51acc4c09b379p-60 } },
    { 0x1.52p+0, { -0x1.1c898c16999fbp-2, 0x1.0e5c62aff1c44p-60 } },
    { 0x1.4bp+0, { -0x1.071b85fcd590dp-2, -0x1.d1707f97bde8p-58 } },
    { 0x1.448p+0, { -0x1.e598ed5a87e2fp-3, 0x1.a5e78f4c50659p-58 } },
    { 0x1.3ep+0, { -0x1.bc286742d8cd6p-3, -0x1.4fce744870f55p-58 } },
    { 0x1.38p+0, { -0x1.9525a9cf456b4p-3, -0x1.d904c1d4e2e26p-57 } },
    { 0x1.32p+0, { -0x1.6d60fe719d21dp-3, 0x1.caae268ecd179p-57 } },
    { 0x1.2c8p+0, { -0x1.483bccce6e3ddp-3, -0x1.29391fb1b4b22p-57 } },
    { 0x1.27p+0, { -0x1.2266f190a5acbp-3, -0x1.f547bf1809e88p-57 } },
    { 0x1.22p+0, { -0x1.fec9131dbeabbp-4, 0x1.5746b9981b36cp-58 } },
    { 0x1.1dp+0, { -0x1.b78c82bb0eda1p-4, -0x1.0878cf0327e21p-61 } },
    { 0x1.18p+0, { -0x1.6f0d28ae56b4cp-4, 0x1.906d99184b992p-58 } },
    { 0x1.138p+0, { -0x1.2cb0283f5de1fp-4, 0x1.d359a8fde8adep-60 } },
    { 0x1.0fp+0, { -0x1.d276b8adb0b52p-5, -0x1.1e3c53257fd47p-61 } },
    { 0x1.0a8p+0, { -0x1.494acc34d911cp-5, -0x1.e295bf491ccc5p-59 } },
    { 0x1.06p+0, { -0x1.7b91b07d5b11bp-6, 0x1.5b602ace3a51p-60 } },
    { 0x1p+0, { 0, 0 } },
};

static const struct pair ln2 = { 0x1.62e42fefa2p-1, 0x1.9ef35793c7673p-41 }; /* the first part has 40 bits */

static const double reciprocals[11] = { /* 1/3, -1/4, 1/5, ... */
    0x1.5555555555555p-2, -0.25, 0x1.999999999999ap-3, -0x1.5555555555555p-3, 0x1.2492492492492p-3, -0x1p-3,
    0x1.c71c71c71c71cp-4, -0x1.999999999999ap-4, 0x1.745d1745d1746p-4, -0x1.5555555555555p-4, 0x1.3b13b13b13b14p-4,
};

/* The logarithm of a positive finite number, to some 64 bits. */
static struct pair log_of(double x)
{
    int exponent = 0;
    if (x < DBL_MIN) {
        x *= 0x1p54;
        exponent = -54;
    }
    const uint64_t bits = bits_of(x);
    const int i = (int)(bits >> 47 & 31), upper = i >= 13;
    exponent += (int)(bits >> 52) - 1023 + upper;
    const double m = double_of((bits & 0xfffffffffffff) | (uint64_t)(1023 - upper) << 52), factor = inverses[i].factor;

    /* r = factor m - 1, whole: the factor is short enough for both products to be exact */
    const struct pair part = halves(m), r = sum(part.high * factor - 1, part.low * factor);
    const double t = r.high;
    const struct pair square = product(t, t);
    const double cubic = t * square.high * polynomial(reciprocals, 11, t);

    const struct pair a = sum(exponent * ln2.high, inverses[i].log.high), b = sum(a.high, t),
                      c = sum(b.high, -0.5 * square.high);
    const double low = (exponent * ln2.low + inverses[i].log.low) + (a.low + b.low + c.low) +
                       (r.low - r.low * t * (1 - t) - 0.5 * square.low) + cubic;
    return sum_ordered(c.high, low);
}

double elementary_log(double x)
{
    if (isnan(x) || x == INFINITY)
        return x + x;
    if (x <= 0)
        return x == 0 ? -INFINITY : NAN;
    return log_of(x).high;
}

/* ---- power ---- */

/* Where either is 0 or infinite, and x is neither negative nor 1. */
static double pow_at_ends(double x, double y)
{
    const bool grows = isinf(y) ? (x > 1) == (y > 0) : (x == 0) == (y < 0);
    return grows ? INFINITY : 0;
}

double elementary_pow(double x, double y)
{
    if (y == 0 || x == 1)
        return 1;
    if (isnan(x) || isnan(y) || x < 0)
        return NAN;
    if (x == 0 || isinf(x) || isinf(y))
        return pow_at_ends(x, y);
    const struct pair log = log_of(x);
    if (!(fabs(y * log.high) < 1000))
        return y * log.high > 0 ? INFINITY : 0;
    const struct pair whole = product(y, log.high);
    return exp_of((struct pair){ whole.high, whole.low + y * log.low });
}

/* ---- cosine ---- */

/* 2 pi turns, for turns up to 1/8. */
static struct pair angle_of(double turns)
{
    const struct pair angle = product(turns, 0x1.921fb54442d18p+2);
    return sum_ordered(angle.high, angle.low + turns * 0x1.1a62633145c07p-52);
}

static const double cosines[6] = {
    4.16666666666666019037e-02,  -1.38888888888741095749e-03, 2.48015872894767294178e-05,
    -2.75573143513906633035e-07, 2.08757232129817482790e-09,  -1.13596475577881948265e-11,
};
static const double sines[5] = {
    8.33333333332248946124e-03,  -1.98412698298579493134e-04, 2.75573137070700676789e-06,
    -2.50507602534068634195e-08, 1.58969099521155010221e-10,
};

static double cos_of(struct pair x)
{
    const double z = x.high * x.high, half = 0.5 * z, w = 1 - half;
    const double r = z * polynomial(cosines, 6, z);
    return w + (((1 - w) - half) + (z * r - x.high * x.low));
}

static double sin_of(struct pair x)
{
    const double z = x.high * x.high, v = z * x.high;
    const double r = polynomial(sines, 5, z);
    return x.high - ((z * (0.5 * x.low - v * r) - x.low) - v * -1.66666666666666324348e-01);
}

/* All the steps to an eighth of a turn are exact. */
double elementary_cosine(double turns)
{
    if (!isfinite(turns))
        return NAN;
    if (fabs(turns) >= 0x1p51)
        turns = fmod(turns, 1);
    double part = fabs(turns - nearest(turns));
    const bool behind = part > 0.25;
    if (behind)
        part = 0.5 - part;
    const double cosine = part <= 0.125 ? cos_of(angle_of(part)) : sin_of(angle_of(0.25 - part));
    return behind ? -cosine : cosine;
}
