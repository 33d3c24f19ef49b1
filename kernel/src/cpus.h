/* Vectors of 4 or 8 numbers where the CPU has them, found out as the module is loaded: the same bits, for each number
 * is worked on by the same operations (-ffp-contract=off). */
#ifndef SEGSERVE_KERNEL_CPUS_H
#define SEGSERVE_KERNEL_CPUS_H

#if defined(__x86_64__) && defined(__GLIBC__) && defined(__GNUC__) && !defined(__clang__)
#define FOR_ALL_CPUS __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define FOR_ALL_CPUS
#endif

#endif
