/* The yardstick: what the obvious loop in C does between two ports. Receive a burst, transmit it, free what was not taken.
 * No parsing, no counting per packet. One forwarding lcore, the main one, for a bounded time.
 *
 * Usage: c_loop EAL-ARGUMENTS
 * For each line "phase io MILLISECONDS" that it reads it moves packets for so long, and answers with how many it moved in a
 * second of processor time, in millions. In between it sleeps. Port 0 receives, port 1 transmits. */
#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#include <rte_cycles.h>
#include <rte_eal.h>
#include <rte_ethdev.h>
#include <rte_lcore.h>
#include <rte_mbuf.h>

#define BURST 64
#define MBUFS 262143
#define CACHE 512
#define DESCRIPTORS 1024

static struct rte_mempool *pool;

static double cpu_seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return now.tv_sec + now.tv_nsec / 1e9;
}

static void port_up(uint16_t port)
{
	struct rte_eth_conf conf = {0};

	if (rte_eth_dev_configure(port, 1, 1, &conf) != 0 ||
	    rte_eth_rx_queue_setup(port, 0, DESCRIPTORS, SOCKET_ID_ANY, NULL, pool) != 0 ||
	    rte_eth_tx_queue_setup(port, 0, DESCRIPTORS, SOCKET_ID_ANY, NULL) != 0 ||
	    rte_eth_dev_start(port) != 0)
		rte_exit(EXIT_FAILURE, "port %u does not start\n", port);
}

/* Moves packets for so many cycles; returns how many millions in a second of processor time. */
static double phase(uint64_t length)
{
	struct rte_mbuf *burst[BURST];
	uint64_t moved = 0, start = rte_rdtsc(), now = start;
	double begin = cpu_seconds();

	for (unsigned round = 0; now - start < length; round++) {
		uint16_t n = rte_eth_rx_burst(0, 0, burst, BURST);
		uint16_t sent = rte_eth_tx_burst(1, 0, burst, n);

		moved += sent;
		if (unlikely(sent < n))
			rte_pktmbuf_free_bulk(burst + sent, n - sent);
		if ((round & 255) == 0)
			now = rte_rdtsc();
	}
	return moved / (cpu_seconds() - begin) / 1e6;
}

int main(int argc, char **argv)
{
	unsigned long milliseconds;
	char line[64];

	if (rte_eal_init(argc, argv) < 0)
		rte_exit(EXIT_FAILURE, "usage: c_loop EAL-ARGUMENTS\n");
	pool = rte_pktmbuf_pool_create("mbufs", MBUFS, CACHE, 0, RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY);
	if (pool == NULL)
		rte_exit(EXIT_FAILURE, "no memory for %d mbufs\n", MBUFS);
	port_up(0);
	port_up(1);

	while (fgets(line, sizeof(line), stdin) != NULL) {
		if (sscanf(line, "phase io %lu", &milliseconds) != 1)
			rte_exit(EXIT_FAILURE, "not understood: %s", line);
		uint64_t length = rte_get_tsc_hz() / 1000 * milliseconds;

		/* The first bursts fill the caches. */
		phase(length / 10);
		printf("%.4f\n", phase(length));
		fflush(stdout);
	}
	rte_eth_dev_stop(0);
	rte_eth_dev_stop(1);
	return 0;
}
