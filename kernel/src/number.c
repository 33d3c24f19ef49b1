#include "number.h"

#include <string.h>

#define MAX_DIGITS 19 /* 10^19 < 2^64 */
#define MAX_POWER 27  /* 5^27 < 2^63 */
#define MAX_EXACT_POWER 22

static const double TENS[MAX_EXACT_POWER + 1] = {
    1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
    1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
};

#ifdef __SIZEOF_INT128__
static const uint64_t FIVES[MAX_POWER + 1] = {
    UINT64_C(1), UINT64_C(5), UINT64_C(25), UINT64_C(125), UINT64_C(625), UINT64_C(3125), UINT64_C(15625),
    UINT64_C(78125), UINT64_C(390625), UINT64_C(1953125), UINT64_C(9765625), UINT64_C(48828125),
    UINT64_C(244140625), UINT64_C(1220703125), UINT64_C(6103515625), UINT64_C(30517578125),
    UINT64_C(152587890625), UINT64_C(762939453125), UINT64_C(3814697265625), UINT64_C(19073486328125),
    UINT64_C(95367431640625), UINT64_C(476837158203125), UINT64_C(2384185791015625),
    UINT64_C(11920928955078125), UINT64_C(59604644775390625), UINT64_C(298023223876953125),
    UINT64_C(1490116119384765625), UINT64_C(7450580596923828125),
};

__extension__ typedef unsigned __int128 uint128;

/* Return (significand + rest) * 2^exponent rounded to a double, where 0 <= rest < 1 and is 0 unless has_rest.
 * The significand has 63 or 64 bits, and the result is far from overflow and underflow. */
static double rounded(uint64_t significand, int has_rest, int exponent) {
    int shift = 11 - (significand >> 63 == 0);
    uint64_t kept = significand >> shift;
    uint64_t cut = significand & ((UINT64_C(1) << shift) - 1);
    uint64_t half = UINT64_C(1) << (shift - 1);
    uint64_t bits;
    double value;
    exponent += shift;
    if (cut > half || (cut == half && (has_rest || (kept & 1)))) {
        kept++; /* 2^53 at most, whose lower bits are 0: the sum below carries into the exponent */
    }
    bits = ((uint64_t)(exponent + 1074) << 52) + kept;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* Return significand * 10^power, exactly computed as a fraction and rounded once; not for a significand of 0. */
static double scaled(uint64_t significand, int power) {
    uint64_t five = FIVES[power < 0 ? -power : power];
    if (power >= 0) {
        uint128 product = (uint128)significand * five;
        int top = product >> 64 ? __builtin_clzll((uint64_t)(product >> 64))
                                : 64 + __builtin_clzll((uint64_t)product);
        product <<= top;
        return rounded((uint64_t)(product >> 64), (uint64_t)product != 0, 64 - top + power);
    } else {
        /* Both with their top bit set, so that the quotient has 63 or 64 bits. */
        int zeros = __builtin_clzll(significand);
        int shift = __builtin_clzll(five);
        uint64_t divisor = five << shift;
        uint128 dividend = (uint128)(significand << zeros) << 63;
        uint64_t quotient = (uint64_t)(dividend / divisor);
        int has_rest = (uint64_t)dividend != quotient * divisor;
        return rounded(quotient, has_rest, shift - zeros - 63 + power);
    }
}
#endif

const uint8_t *kernel_number(const uint8_t *text, double *value) {
    const uint8_t *at = text;
    uint64_t significand = 0;
    unsigned digit = *at - (unsigned)'0';
    int64_t digits;
    int power = 0;
    if (digit > 9) {
        return NULL;
    }
    if (digit == 0) {
        at++;
        if (*at - (unsigned)'0' <= 9) {
            return NULL; /* JSON knows no leading zeros */
        }
    } else {
        do {
            significand = 10 * significand + digit;
            digit = *++at - (unsigned)'0';
        } while (digit <= 9);
    }
    digits = at - text;
    if (*at == '.') {
        const uint8_t *point = ++at;
        while ((digit = *at - (unsigned)'0') <= 9) {
            significand = 10 * significand + digit;
            at++;
        }
        if (at == point || at - point > 2 * MAX_POWER) {
            return NULL;
        }
        digits += at - point;
        power = -(int)(at - point);
    }
    if (*at == 'e' || *at == 'E') {
        int is_negative = *++at == '-';
        int exponent = 0, places = 0;
        at += *at == '-' || *at == '+';
        for (; (digit = *at - (unsigned)'0') <= 9; at++) {
            exponent = 10 * exponent + (int)digit;
            if (++places > 2) {
                return NULL;
            }
        }
        if (places == 0) {
            return NULL;
        }
        power += is_negative ? -exponent : exponent;
    }
    if (digits > MAX_DIGITS) {
        for (const uint8_t *zero = text; *zero == '0' || *zero == '.'; zero++) {
            digits -= *zero == '0';
        }
        if (digits > MAX_DIGITS) {
            return NULL; /* the significand has overflowed */
        }
    }
    /* Both are doubles without rounding, so that one operation rounds once. Source: Clinger, How to read
     * floating point numbers accurately, PLDI 1990. */
    if (significand <= UINT64_C(1) << 53 && -MAX_EXACT_POWER <= power && power <= MAX_EXACT_POWER) {
        *value = power < 0 ? (double)significand / TENS[-power] : (double)significand * TENS[power];
        return at;
    }
#ifdef __SIZEOF_INT128__
    if (significand != 0 && -MAX_POWER <= power && power <= MAX_POWER) {
        *value = scaled(significand, power);
        return at;
    }
#endif
    return NULL;
}
