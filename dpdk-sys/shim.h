/*
 * What the data plane calls of DPDK that is not a plain exported function: inline functions, at the grain of a
 * burst, and structures whose layout or field names differ between the long-term releases. Nothing decides here.
 *
 * Functions that can fail return 0 or a negative errno.
 */
#ifndef SHIM_H
#define SHIM_H

#include <stddef.h>
#include <stdint.h>

#include <rte_mbuf.h>
#include <rte_mempool.h>
#include <rte_version.h>

/* The release whose inline functions and structures are compiled in here. */
enum shim_release {
	SHIM_RELEASE_YEAR = RTE_VER_YEAR,
	SHIM_RELEASE_MONTH = RTE_VER_MONTH,
};

/* Where DPDK keeps the fields of a packet buffer; the Rust view of the structure is checked against these. */
enum shim_layout {
	SHIM_MBUF_SIZE = sizeof(struct rte_mbuf),
	SHIM_MBUF_BUF_ADDR = offsetof(struct rte_mbuf, buf_addr),
	SHIM_MBUF_DATA_OFF = offsetof(struct rte_mbuf, data_off),
	SHIM_MBUF_REFCNT = offsetof(struct rte_mbuf, refcnt),
	SHIM_MBUF_NB_SEGS = offsetof(struct rte_mbuf, nb_segs),
	SHIM_MBUF_PORT = offsetof(struct rte_mbuf, port),
	SHIM_MBUF_OL_FLAGS = offsetof(struct rte_mbuf, ol_flags),
	SHIM_MBUF_PKT_LEN = offsetof(struct rte_mbuf, pkt_len),
	SHIM_MBUF_DATA_LEN = offsetof(struct rte_mbuf, data_len),
	SHIM_MBUF_BUF_LEN = offsetof(struct rte_mbuf, buf_len),
	SHIM_MBUF_POOL = offsetof(struct rte_mbuf, pool),
	SHIM_PKTMBUF_HEADROOM = RTE_PKTMBUF_HEADROOM,
};

/* EAL */

/* Starts the EAL; what it says meanwhile is written to `log` (terminated, cut off at `log_size`). Returns the
 * number of arguments taken, or a negative errno. */
int shim_eal_init(int argc, char **argv, char *log, size_t log_size);
/* Probes the device that `devargs` describes; what the drivers say meanwhile is written to `log`. */
int shim_dev_probe(const char *devargs, char *log, size_t log_size);
/* Finds the first port of the device that `devargs` describes. */
int shim_dev_port(const char *devargs, uint16_t *port);
/* The port's device leaves its bus. */
int shim_port_remove(uint16_t port);
int shim_errno(void);

/* Telemetry */

struct rte_tel_data;

/* Adds a count to an answer that is a dictionary: the function changed its name in 23.03, and 25.11 dropped the old one. */
int shim_tel_add_count(struct rte_tel_data *data, const char *name, uint64_t count);

/* Packet buffers */

struct rte_mbuf *shim_mbuf_alloc(struct rte_mempool *pool);
void shim_mbuf_free(struct rte_mbuf *mbuf);
void shim_mbuf_free_bulk(struct rte_mbuf **mbufs, unsigned int count);

/* Ports */

uint16_t shim_rx_burst(uint16_t port, uint16_t queue, struct rte_mbuf **mbufs, uint16_t count);
uint16_t shim_tx_burst(uint16_t port, uint16_t queue, struct rte_mbuf **mbufs, uint16_t count);
/* 1: everything in the ring of this many descriptors was sent; 0: not yet; negative: the driver does not say. */
int shim_tx_idle(uint16_t port, uint16_t queue, uint16_t descriptors);

struct shim_port_info {
	char driver[64];
	char device[64];
	int socket; /* NUMA node, or -1 */
	uint16_t min_mtu;
	uint16_t max_mtu;
	uint16_t max_rx_queues;
	uint16_t max_tx_queues;
	uint16_t rx_descriptors; /* what the driver prefers */
	uint16_t tx_descriptors;
	uint8_t rss_ipv4; /* the driver hashes IPv4 addresses */
};

enum shim_rss {
	SHIM_RSS_NONE, /* one queue */
	SHIM_RSS_BOTH, /* over source and destination address */
	SHIM_RSS_SOURCE,
	SHIM_RSS_DESTINATION,
};

struct shim_port_config {
	uint16_t rx_queues;
	uint16_t tx_queues;
	uint16_t rx_descriptors;
	uint16_t tx_descriptors;
	uint16_t mtu;
	enum shim_rss rss; /* what is wanted */
	struct rte_mempool *pool;
};

struct shim_port_configured {
	enum shim_rss rss; /* what the driver agreed to */
	uint16_t rx_descriptors;
	uint16_t tx_descriptors;
	uint8_t mtu_set; /* the driver took the MTU */
	const char *step; /* what failed, if it failed */
};

struct shim_link {
	uint8_t up;
	uint8_t full_duplex;
	uint8_t autonegotiated;
	uint32_t speed_mbps; /* UINT32_MAX if unknown */
};

int shim_port_info(uint16_t port, struct shim_port_info *info);
int shim_port_configure(uint16_t port, const struct shim_port_config *config,
			struct shim_port_configured *configured);
int shim_port_link(uint16_t port, struct shim_link *link);

#endif
