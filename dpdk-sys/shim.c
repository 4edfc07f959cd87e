/* See shim.h. */
#define _GNU_SOURCE
#include "shim.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_dev.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_log.h>
#include <rte_telemetry.h>

_Static_assert(sizeof(void *) == 8, "a 64-bit machine");
_Static_assert(RTE_MBUF_F_RX_VLAN == 1ULL << 0, "RTE_MBUF_F_RX_VLAN");
_Static_assert(RTE_MBUF_F_RX_VLAN_STRIPPED == 1ULL << 6, "RTE_MBUF_F_RX_VLAN_STRIPPED");
_Static_assert(RTE_MBUF_F_RX_QINQ_STRIPPED == 1ULL << 15, "RTE_MBUF_F_RX_QINQ_STRIPPED");
_Static_assert(sizeof(((struct rte_mbuf *)0)->data_off) == 2, "data_off");
_Static_assert(sizeof(((struct rte_mbuf *)0)->refcnt) == 2, "refcnt");
_Static_assert(sizeof(((struct rte_mbuf *)0)->nb_segs) == 2, "nb_segs");
_Static_assert(sizeof(((struct rte_mbuf *)0)->port) == 2, "port");
_Static_assert(sizeof(((struct rte_mbuf *)0)->ol_flags) == 8, "ol_flags");
_Static_assert(sizeof(((struct rte_mbuf *)0)->pkt_len) == 4, "pkt_len");
_Static_assert(sizeof(((struct rte_mbuf *)0)->data_len) == 2, "data_len");
_Static_assert(sizeof(((struct rte_mbuf *)0)->buf_len) == 2, "buf_len");

/* Runs `step` while DPDK's log goes to a stream in memory, then copies the stream to `log`. */
static int with_log(int (*step)(void *), void *argument, char *log, size_t log_size)
{
	char *text = NULL;
	size_t length = 0;
	FILE *before = rte_log_get_stream();
	FILE *stream = open_memstream(&text, &length);
	int result;

	if (stream != NULL)
		rte_openlog_stream(stream);
	result = step(argument);
	if (stream != NULL) {
		/* NULL stands for DPDK's own choice, the standard error stream. */
		rte_openlog_stream(before == stderr ? NULL : before);
		fclose(stream);
	}
	if (log_size > 0)
		snprintf(log, log_size, "%s", text != NULL ? text : "");
	free(text);
	return result;
}

struct eal_arguments {
	int argc;
	char **argv;
};

static int eal_init(void *argument)
{
	struct eal_arguments *arguments = argument;
	int taken = rte_eal_init(arguments->argc, arguments->argv);

	if (taken >= 0)
		return taken;
	return rte_errno != 0 ? -rte_errno : -EINVAL;
}

int shim_eal_init(int argc, char **argv, char *log, size_t log_size)
{
	struct eal_arguments arguments = { argc, argv };

	return with_log(eal_init, &arguments, log, log_size);
}

static int dev_probe(void *argument)
{
	return rte_dev_probe(argument);
}

int shim_dev_probe(const char *devargs, char *log, size_t log_size)
{
	return with_log(dev_probe, (void *)(uintptr_t)devargs, log, log_size);
}

int shim_dev_port(const char *devargs, uint16_t *port)
{
	struct rte_dev_iterator iterator;
	uint16_t found;

	if (rte_eth_iterator_init(&iterator, devargs) != 0)
		return -ENODEV;
	found = rte_eth_iterator_next(&iterator);
	if (found == RTE_MAX_ETHPORTS)
		return -ENODEV;
	rte_eth_iterator_cleanup(&iterator);
	*port = found;
	return 0;
}

int shim_port_remove(uint16_t port)
{
	struct rte_eth_dev_info info;
	int result = rte_eth_dev_info_get(port, &info);

	if (result != 0)
		return result;
	result = rte_eth_dev_close(port);
	if (info.device != NULL)
		rte_dev_remove(info.device);
	return result;
}

int shim_errno(void)
{
	return rte_errno;
}

int shim_tel_add_count(struct rte_tel_data *data, const char *name, uint64_t count)
{
#if RTE_VERSION >= RTE_VERSION_NUM(23, 3, 0, 0)
	return rte_tel_data_add_dict_uint(data, name, count);
#else
	return rte_tel_data_add_dict_u64(data, name, count);
#endif
}

struct rte_mbuf *shim_mbuf_alloc(struct rte_mempool *pool)
{
	return rte_pktmbuf_alloc(pool);
}

void shim_mbuf_free(struct rte_mbuf *mbuf)
{
	rte_pktmbuf_free(mbuf);
}

/* Whether neither another owner nor a further segment hangs on the buffer. */
static int is_plain(const struct rte_mbuf *mbuf)
{
	return mbuf->nb_segs == 1 && RTE_MBUF_DIRECT(mbuf) && rte_mbuf_refcnt_read(mbuf) == 1;
}

/* The road frees buffers that the receive queue filled: of one pool, unshared and unchained. Those go back in one
 * piece; whatever else comes takes the library's way. */
void shim_mbuf_free_bulk(struct rte_mbuf **mbufs, unsigned int count)
{
	unsigned int i;

	for (i = 0; i < count; i++) {
		if (mbufs[i]->pool != mbufs[0]->pool || !is_plain(mbufs[i])) {
			rte_pktmbuf_free_bulk(mbufs, count);
			return;
		}
	}
	if (count > 0)
		rte_mempool_put_bulk(mbufs[0]->pool, (void **)mbufs, count);
}

uint16_t shim_rx_burst(uint16_t port, uint16_t queue, struct rte_mbuf **mbufs, uint16_t count)
{
	return rte_eth_rx_burst(port, queue, mbufs, count);
}

uint16_t shim_tx_burst(uint16_t port, uint16_t queue, struct rte_mbuf **mbufs, uint16_t count)
{
	return rte_eth_tx_burst(port, queue, mbufs, count);
}

int shim_tx_idle(uint16_t port, uint16_t queue, uint16_t descriptors)
{
	/* Counted from the next one to be filled, the last one is that of the packet queued last. */
	int status = rte_eth_tx_descriptor_status(port, queue, descriptors - 1);

	switch (status) {
	case RTE_ETH_TX_DESC_FULL:
		return 0;
	case RTE_ETH_TX_DESC_DONE:
		return 1;
	default:
		return -1;
	}
}

int shim_port_info(uint16_t port, struct shim_port_info *info)
{
	struct rte_eth_dev_info dev;
	char name[RTE_ETH_NAME_MAX_LEN] = "";
	int result = rte_eth_dev_info_get(port, &dev);

	if (result != 0)
		return result;
	result = rte_eth_dev_get_name_by_port(port, name);
	if (result != 0)
		return result;
	memset(info, 0, sizeof(*info));
	snprintf(info->driver, sizeof(info->driver), "%s", dev.driver_name != NULL ? dev.driver_name : "");
	snprintf(info->device, sizeof(info->device), "%s", name);
	info->socket = rte_eth_dev_socket_id(port);
	info->min_mtu = dev.min_mtu;
	info->max_mtu = dev.max_mtu;
	info->max_rx_queues = dev.max_rx_queues;
	info->max_tx_queues = dev.max_tx_queues;
	info->rx_descriptors = dev.default_rxportconf.ring_size;
	info->tx_descriptors = dev.default_txportconf.ring_size;
	info->rss_ipv4 = (dev.flow_type_rss_offloads & RTE_ETH_RSS_IPV4) != 0;
	return 0;
}

static int configure_with_rss(uint16_t port, const struct shim_port_config *config, enum shim_rss rss, uint16_t mtu)
{
	struct rte_eth_conf conf;

	memset(&conf, 0, sizeof(conf));
	conf.rxmode.mtu = mtu;
	if (rss != SHIM_RSS_NONE) {
		conf.rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
		conf.rx_adv_conf.rss_conf.rss_hf = RTE_ETH_RSS_IPV4;
		if (rss == SHIM_RSS_SOURCE)
			conf.rx_adv_conf.rss_conf.rss_hf |= RTE_ETH_RSS_L3_SRC_ONLY;
		if (rss == SHIM_RSS_DESTINATION)
			conf.rx_adv_conf.rss_conf.rss_hf |= RTE_ETH_RSS_L3_DST_ONLY;
	}
	return rte_eth_dev_configure(port, config->rx_queues, config->tx_queues, &conf);
}

int shim_port_configure(uint16_t port, const struct shim_port_config *config,
			struct shim_port_configured *configured)
{
	struct rte_eth_dev_info dev;
	enum shim_rss rss = config->rss;
	uint16_t mtu = config->mtu;
	uint16_t queue;
	int result;

	memset(configured, 0, sizeof(*configured));
	configured->step = "asking the driver what it can do";
	result = rte_eth_dev_info_get(port, &dev);
	if (result != 0)
		return result;

	configured->step = "configuring queues";
	if ((dev.flow_type_rss_offloads & RTE_ETH_RSS_IPV4) == 0)
		rss = SHIM_RSS_NONE;
	if ((mtu < dev.min_mtu && dev.min_mtu != 0) || (mtu > dev.max_mtu && dev.max_mtu != 0))
		mtu = 0;
	result = configure_with_rss(port, config, rss, mtu);
	if (result != 0 && rss > SHIM_RSS_BOTH) {
		rss = SHIM_RSS_BOTH;
		result = configure_with_rss(port, config, rss, mtu);
	}
	if (result != 0 && rss == SHIM_RSS_BOTH) {
		rss = SHIM_RSS_NONE;
		result = configure_with_rss(port, config, rss, mtu);
	}
	if (result != 0)
		return result;
	configured->rss = rss;

	configured->step = "sizing descriptor rings";
	configured->rx_descriptors = config->rx_descriptors;
	configured->tx_descriptors = config->tx_descriptors;
	result = rte_eth_dev_adjust_nb_rx_tx_desc(port, &configured->rx_descriptors, &configured->tx_descriptors);
	if (result != 0)
		return result;

	configured->step = "setting up a receive queue";
	for (queue = 0; queue < config->rx_queues; queue++) {
		result = rte_eth_rx_queue_setup(port, queue, configured->rx_descriptors,
						(unsigned int)rte_eth_dev_socket_id(port), NULL, config->pool);
		if (result != 0)
			return result;
	}
	configured->step = "setting up a transmit queue";
	for (queue = 0; queue < config->tx_queues; queue++) {
		result = rte_eth_tx_queue_setup(port, queue, configured->tx_descriptors,
						(unsigned int)rte_eth_dev_socket_id(port), NULL);
		if (result != 0)
			return result;
	}
	configured->step = "setting the MTU";
	configured->mtu_set = mtu != 0 && rte_eth_dev_set_mtu(port, mtu) == 0;
	return 0;
}

int shim_port_link(uint16_t port, struct shim_link *link)
{
	struct rte_eth_link now;
	int result;

	memset(&now, 0, sizeof(now));
	result = rte_eth_link_get_nowait(port, &now);
	if (result != 0)
		return result;
	link->up = now.link_status == RTE_ETH_LINK_UP;
	link->full_duplex = now.link_duplex == RTE_ETH_LINK_FULL_DUPLEX;
	link->autonegotiated = now.link_autoneg == RTE_ETH_LINK_AUTONEG;
	link->speed_mbps = now.link_speed;
	return 0;
}
