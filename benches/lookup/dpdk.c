/* How long DPDK's own tables take for the look-ups that the benchmark asks for: rte_lpm and rte_fib (DIR-24-8 with
 * two-octet next hops, scalar and AVX-512).
 *
 * Usage: dpdk_lookup FILE ROUNDS EAL-ARGUMENTS...
 * FILE holds little-endian words of 32 bits: the number of routes, for each its network, length and next hop, the
 * number of destinations, and these. Prints a line a table: its name, nanoseconds a look-up (median of the rounds), the sum of
 * all next hops found (so that the tables can be compared), and milliseconds to add all routes. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_cycles.h>
#include <rte_eal.h>
#include <rte_fib.h>
#include <rte_lpm.h>

#define BURST 64
#define ROUNDS_MAX 1000

struct route {
	uint32_t network, length, hop;
};

static uint32_t *words_of(const char *path, size_t *count)
{
	FILE *file = fopen(path, "rb");
	long octets;

	if (file == NULL || fseek(file, 0, SEEK_END) != 0 || (octets = ftell(file)) < 8)
		rte_exit(EXIT_FAILURE, "cannot read %s\n", path);
	rewind(file);
	uint32_t *words = malloc(octets);
	*count = octets / sizeof(*words);
	if (words == NULL || fread(words, sizeof(*words), *count, file) != *count)
		rte_exit(EXIT_FAILURE, "cannot read %s\n", path);
	fclose(file);
	return words;
}

static int by_value(const void *a, const void *b)
{
	double left = *(const double *)a, right = *(const double *)b;

	return (left > right) - (left < right);
}

typedef uint64_t look_up_fn(void *table, uint32_t *destinations);

static uint64_t lpm_look_up(void *table, uint32_t *destinations)
{
	uint32_t hops[BURST];
	uint64_t sum = 0;

	rte_lpm_lookup_bulk(table, destinations, hops, BURST);
	for (int i = 0; i < BURST; i++)
		sum += hops[i] & 0xffffff;
	return sum;
}

static uint64_t fib_look_up(void *table, uint32_t *destinations)
{
	uint64_t hops[BURST], sum = 0;

	rte_fib_lookup_bulk(table, destinations, hops, BURST);
	for (int i = 0; i < BURST; i++)
		sum += hops[i];
	return sum;
}

static void measure(const char *name, look_up_fn *look_up, void *table, uint32_t *destinations, uint32_t count,
		    unsigned int rounds, double add_ms)
{
	double ns[ROUNDS_MAX];
	uint64_t sum = 0;

	count -= count % BURST;
	for (unsigned int round = 0; round < rounds; round++) {
		uint64_t start = rte_rdtsc();

		sum = 0;
		for (uint32_t i = 0; i < count; i += BURST)
			sum += look_up(table, destinations + i);
		ns[round] = (double)(rte_rdtsc() - start) * 1e9 / rte_get_tsc_hz() / count;
	}
	qsort(ns, rounds, sizeof(*ns), by_value);
	printf("%s %.3f %" PRIu64 " %.1f\n", name, ns[rounds / 2], sum, add_ms);
}

int main(int argc, char **argv)
{
	if (argc < 4)
		rte_exit(EXIT_FAILURE, "usage: dpdk_lookup FILE ROUNDS EAL-ARGUMENTS...\n");
	size_t count;
	uint32_t *words = words_of(argv[1], &count);
	unsigned int rounds = RTE_MIN((unsigned int)atoi(argv[2]), (unsigned int)ROUNDS_MAX);

	argv[2] = argv[0];
	if (rounds == 0 || rte_eal_init(argc - 2, argv + 2) < 0)
		rte_exit(EXIT_FAILURE, "the EAL does not start\n");
	uint32_t route_count = words[0];
	struct route *routes = (struct route *)(words + 1);
	uint32_t *destinations = words + 2 + route_count * 3;
	uint32_t destination_count = words[1 + route_count * 3];
	double ms = 1e3 / rte_get_tsc_hz();

	struct rte_lpm_config lpm_config = {.max_rules = route_count + 1, .number_tbl8s = 4096};
	struct rte_lpm *lpm = rte_lpm_create("lpm", SOCKET_ID_ANY, &lpm_config);
	uint64_t start = rte_rdtsc();

	for (uint32_t i = 0; lpm != NULL && i < route_count; i++)
		if (rte_lpm_add(lpm, routes[i].network, routes[i].length, routes[i].hop) != 0)
			rte_exit(EXIT_FAILURE, "rte_lpm takes no more than %u routes\n", i);
	if (lpm != NULL)
		measure("rte_lpm", lpm_look_up, lpm, destinations, destination_count, rounds,
			(rte_rdtsc() - start) * ms);

	struct rte_fib_conf fib_config = {
		.type = RTE_FIB_DIR24_8,
		.default_nh = 0,
		.max_routes = route_count + 1,
		.dir24_8 = {.nh_sz = RTE_FIB_DIR24_8_2B, .num_tbl8 = 4096},
	};
	struct rte_fib *fib = rte_fib_create("fib", SOCKET_ID_ANY, &fib_config);

	if (fib == NULL)
		rte_exit(EXIT_FAILURE, "no memory for rte_fib\n");
	start = rte_rdtsc();
	for (uint32_t i = 0; i < route_count; i++)
		if (rte_fib_add(fib, routes[i].network, routes[i].length, routes[i].hop) != 0)
			rte_exit(EXIT_FAILURE, "rte_fib takes no more than %u routes\n", i);
	double add_ms = (rte_rdtsc() - start) * ms;

	if (rte_fib_select_lookup(fib, RTE_FIB_LOOKUP_DIR24_8_SCALAR_INLINE) == 0)
		measure("rte_fib", fib_look_up, fib, destinations, destination_count, rounds, add_ms);
	if (rte_fib_select_lookup(fib, RTE_FIB_LOOKUP_DIR24_8_VECTOR_AVX512) == 0)
		measure("rte_fib_avx512", fib_look_up, fib, destinations, destination_count, rounds, add_ms);
	return 0;
}
