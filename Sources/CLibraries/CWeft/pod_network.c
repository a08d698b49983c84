// The pod's network: `lo` alone, every address local, outgoing TCP redirected to the proxy's listener in the pod.
// Spoken in netlink rather than through `ip` and `nft`: two processes fewer for each pod, and no packages needed.
#include "pod_settings.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

/// Messages under construction. Large enough for the whole rule set; `overflow` makes a mistake visible.
struct batch {
    char bytes[8192];
    size_t length;
    struct nlmsghdr *message;
    uint32_t sequence;
    int overflow;
};

static void *take(struct batch *batch, size_t size) {
    size_t aligned = NLMSG_ALIGN(size);
    if (batch->length + aligned > sizeof batch->bytes) {
        batch->overflow = 1;
        batch->length = 0;
    }
    void *place = batch->bytes + batch->length;
    memset(place, 0, aligned);
    batch->length += aligned;
    return place;
}

static void finish(struct batch *batch) {
    if (batch->message == NULL) return;
    batch->message->nlmsg_len = (uint32_t)(batch->bytes + batch->length - (char *)batch->message);
    batch->message = NULL;
}

static void begin(struct batch *batch, uint16_t type, uint16_t flags) {
    finish(batch);
    struct nlmsghdr *message = take(batch, NLMSG_HDRLEN);
    message->nlmsg_type = type;
    message->nlmsg_flags = flags;
    message->nlmsg_seq = ++batch->sequence;
    batch->message = message;
}

static struct nlattr *put(struct batch *batch, uint16_t type, const void *value, size_t size) {
    struct nlattr *attribute = take(batch, NLA_HDRLEN + size);
    attribute->nla_type = type;
    attribute->nla_len = (uint16_t)(NLA_HDRLEN + size);
    if (size > 0) memcpy((char *)attribute + NLA_HDRLEN, value, size);
    return attribute;
}

static void put_text(struct batch *batch, uint16_t type, const char *value) {
    put(batch, type, value, strlen(value) + 1);
}

static void put_number(struct batch *batch, uint16_t type, uint32_t value) {
    uint32_t big = htonl(value);
    put(batch, type, &big, sizeof big);
}

static struct nlattr *nest(struct batch *batch, uint16_t type) { return put(batch, type | NLA_F_NESTED, NULL, 0); }

static void end(struct batch *batch, struct nlattr *nested) {
    nested->nla_len = (uint16_t)(batch->bytes + batch->length - (char *)nested);
}

/// Sends the batch and reads one answer for each message that wants one. 0 or -1 with errno.
static int deliver(int fd, struct batch *batch, int answers) {
    finish(batch);
    if (batch->overflow) return errno = ENOBUFS, -1;
    if (send(fd, batch->bytes, batch->length, 0) < 0) return -1;
    char reply[8192];
    while (answers > 0) {
        ssize_t length = recv(fd, reply, sizeof reply, 0);
        if (length < 0) return -1;
        struct nlmsghdr *message = (struct nlmsghdr *)reply;
        for (size_t left = (size_t)length; NLMSG_OK(message, left); message = NLMSG_NEXT(message, left)) {
            if (message->nlmsg_type != NLMSG_ERROR) continue;
            int code = ((struct nlmsgerr *)NLMSG_DATA(message))->error;
            if (code != 0) return errno = -code, -1;
            answers--;
        }
    }
    return 0;
}

static int open_netlink(int protocol) {
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol);
    struct timeval patience = {.tv_sec = 5};
    if (fd >= 0) setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    return fd;
}

static int loopback_up(void) {
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return -1;
    struct ifreq request = {0};
    strcpy(request.ifr_name, "lo");
    request.ifr_flags = IFF_UP;
    int result = ioctl(fd, SIOCSIFFLAGS, &request);
    close(fd);
    return result;
}

/// The pod's address on `lo`, and the route `local default dev lo` with that address as the source of connections.
static int addresses(int fd, uint32_t ip) {
    struct batch batch = {.length = 0};
    uint32_t loopback = 1;
    begin(&batch, RTM_NEWADDR, NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_REPLACE);
    struct ifaddrmsg *address = take(&batch, sizeof *address);
    *address = (struct ifaddrmsg){.ifa_family = AF_INET, .ifa_prefixlen = 32, .ifa_index = loopback};
    put(&batch, IFA_LOCAL, &ip, sizeof ip);
    put(&batch, IFA_ADDRESS, &ip, sizeof ip);
    if (deliver(fd, &batch, 1) != 0) return fail("cannot give lo the pod's address: %m");
    struct batch second = {.length = 0};
    begin(&second, RTM_NEWROUTE, NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL);
    struct rtmsg *route = take(&second, sizeof *route);
    *route = (struct rtmsg){
        .rtm_family = AF_INET,
        .rtm_table = RT_TABLE_LOCAL,
        .rtm_protocol = RTPROT_BOOT,
        .rtm_scope = RT_SCOPE_HOST,
        .rtm_type = RTN_LOCAL,
    };
    put(&second, RTA_OIF, &loopback, sizeof loopback);
    put(&second, RTA_PREFSRC, &ip, sizeof ip);
    if (deliver(fd, &second, 1) != 0) return fail("cannot route every address to lo: %m");
    return 0;
}

static void begin_nft(struct batch *batch, uint16_t type, uint16_t flags) {
    begin(batch, (uint16_t)(NFNL_SUBSYS_NFTABLES << 8 | type), (uint16_t)(NLM_F_REQUEST | flags));
    struct nfgenmsg *header = take(batch, sizeof *header);
    header->nfgen_family = NFPROTO_IPV4;
    header->version = NFNETLINK_V0;
}

static void begin_envelope(struct batch *batch, uint16_t type) {
    begin(batch, type, NLM_F_REQUEST);
    struct nfgenmsg *header = take(batch, sizeof *header);
    header->version = NFNETLINK_V0;
    header->res_id = htons(NFNL_SUBSYS_NFTABLES);
}

/// An expression of a rule: `open_expression`, its attributes, then `end` on both.
struct expression {
    struct nlattr *element, *data;
};

static struct expression open_expression(struct batch *batch, const char *name) {
    struct expression made;
    made.element = nest(batch, NFTA_LIST_ELEM);
    put_text(batch, NFTA_EXPR_NAME, name);
    made.data = nest(batch, NFTA_EXPR_DATA);
    return made;
}

static void close_expression(struct batch *batch, struct expression made) {
    end(batch, made.data);
    end(batch, made.element);
}

static void put_data(struct batch *batch, uint16_t type, const void *value, size_t size) {
    struct nlattr *data = nest(batch, type);
    put(batch, NFTA_DATA_VALUE, value, size);
    end(batch, data);
}

static void compare(struct batch *batch, const void *value, size_t size) {
    struct expression made = open_expression(batch, "cmp");
    put_number(batch, NFTA_CMP_SREG, NFT_REG_1);
    put_number(batch, NFTA_CMP_OP, NFT_CMP_EQ);
    put_data(batch, NFTA_CMP_DATA, value, size);
    close_expression(batch, made);
}

static void load_destination(struct batch *batch, uint32_t mask) {
    struct expression made = open_expression(batch, "payload");
    put_number(batch, NFTA_PAYLOAD_DREG, NFT_REG_1);
    put_number(batch, NFTA_PAYLOAD_BASE, NFT_PAYLOAD_NETWORK_HEADER);
    put_number(batch, NFTA_PAYLOAD_OFFSET, 16);
    put_number(batch, NFTA_PAYLOAD_LEN, 4);
    close_expression(batch, made);
    if (mask == 0xffffffff) return;
    uint32_t big = htonl(mask), zero = 0;
    made = open_expression(batch, "bitwise");
    put_number(batch, NFTA_BITWISE_SREG, NFT_REG_1);
    put_number(batch, NFTA_BITWISE_DREG, NFT_REG_1);
    put_number(batch, NFTA_BITWISE_LEN, 4);
    put_data(batch, NFTA_BITWISE_MASK, &big, sizeof big);
    put_data(batch, NFTA_BITWISE_XOR, &zero, sizeof zero);
    close_expression(batch, made);
}

static struct nlattr *begin_rule(struct batch *batch, uint16_t flags) {
    begin_nft(batch, NFT_MSG_NEWRULE, (uint16_t)(NLM_F_CREATE | NLM_F_APPEND | flags));
    put_text(batch, NFTA_RULE_TABLE, "weft");
    put_text(batch, NFTA_RULE_CHAIN, "output");
    return nest(batch, NFTA_RULE_EXPRESSIONS);
}

static void rule_return(struct batch *batch, uint32_t address, uint32_t mask) {
    struct nlattr *expressions = begin_rule(batch, 0);
    load_destination(batch, mask);
    compare(batch, &address, sizeof address);
    struct expression made = open_expression(batch, "immediate");
    put_number(batch, NFTA_IMMEDIATE_DREG, NFT_REG_VERDICT);
    struct nlattr *data = nest(batch, NFTA_IMMEDIATE_DATA);
    struct nlattr *verdict = nest(batch, NFTA_DATA_VERDICT);
    put_number(batch, NFTA_VERDICT_CODE, (uint32_t)NFT_RETURN);
    end(batch, verdict);
    end(batch, data);
    close_expression(batch, made);
    end(batch, expressions);
}

static void rule_redirect(struct batch *batch, uint16_t port) {
    struct nlattr *expressions = begin_rule(batch, NLM_F_ACK);
    struct expression made = open_expression(batch, "meta");
    put_number(batch, NFTA_META_DREG, NFT_REG_1);
    put_number(batch, NFTA_META_KEY, NFT_META_L4PROTO);
    close_expression(batch, made);
    uint8_t tcp = IPPROTO_TCP;
    compare(batch, &tcp, sizeof tcp);
    uint16_t big = htons(port);
    made = open_expression(batch, "immediate");
    put_number(batch, NFTA_IMMEDIATE_DREG, NFT_REG_1);
    put_data(batch, NFTA_IMMEDIATE_DATA, &big, sizeof big);
    close_expression(batch, made);
    made = open_expression(batch, "redir");
    put_number(batch, NFTA_REDIR_REG_PROTO_MIN, NFT_REG_1);
    close_expression(batch, made);
    end(batch, expressions);
}

/// table ip weft { chain output { type nat hook output priority -100; ... ; meta l4proto tcp redirect to :port } }
static int redirect(int fd, uint32_t ip, uint32_t dns, uint16_t port) {
    struct batch batch = {.length = 0};
    begin_envelope(&batch, NFNL_MSG_BATCH_BEGIN);
    begin_nft(&batch, NFT_MSG_NEWTABLE, NLM_F_CREATE);
    put_text(&batch, NFTA_TABLE_NAME, "weft");
    begin_nft(&batch, NFT_MSG_NEWCHAIN, NLM_F_CREATE);
    put_text(&batch, NFTA_CHAIN_TABLE, "weft");
    put_text(&batch, NFTA_CHAIN_NAME, "output");
    struct nlattr *hook = nest(&batch, NFTA_CHAIN_HOOK);
    put_number(&batch, NFTA_HOOK_HOOKNUM, NF_INET_LOCAL_OUT);
    put_number(&batch, NFTA_HOOK_PRIORITY, (uint32_t)-100);
    end(&batch, hook);
    put_text(&batch, NFTA_CHAIN_TYPE, "nat");
    put_number(&batch, NFTA_CHAIN_POLICY, NF_ACCEPT);
    rule_return(&batch, htonl(0x7f000000), 0xff000000);
    rule_return(&batch, ip, 0xffffffff);
    rule_return(&batch, dns, 0xffffffff);
    rule_redirect(&batch, port);
    begin_envelope(&batch, NFNL_MSG_BATCH_END);
    if (deliver(fd, &batch, 1) != 0)
        return fail("cannot redirect the pod's TCP to the proxy by nftables: %m (needs the kernel's nf_tables, nft_redir)");
    return 0;
}

int pod_network(struct row settings) {
    struct in_addr ip, dns;
    const char *ip_text = row_get(settings, "ip"), *dns_text = row_get(settings, "dns");
    long port = row_number(settings, "port", 0);
    if (ip_text == NULL || inet_pton(AF_INET, ip_text, &ip) != 1) return fail("setting ip is not an IPv4 address");
    if (dns_text == NULL || inet_pton(AF_INET, dns_text, &dns) != 1) return fail("setting dns is not an IPv4 address");
    if (port <= 0 || port > 65535) return fail("setting port is not a port");
    if (loopback_up() != 0) return fail("cannot bring lo up: %m");
    int route = open_netlink(NETLINK_ROUTE);
    if (route < 0) return fail("cannot open a route socket: %m");
    int result = addresses(route, ip.s_addr);
    close(route);
    if (result != 0) return result;
    int filter = open_netlink(NETLINK_NETFILTER);
    if (filter < 0) return fail("cannot open a netfilter socket: %m (needs the kernel's nfnetlink)");
    result = redirect(filter, ip.s_addr, dns.s_addr, (uint16_t)port);
    close(filter);
    // Every port is the pod's own: nothing is gained by keeping the low ones for root.
    write_file("/proc/sys/net/ipv4/ip_unprivileged_port_start", "0");
    return result;
}
