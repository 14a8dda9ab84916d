/*
 * oversize.c - datagrams that are longer than a queue carries: the elements of their maps
 */
#include "portreeve/oversize.h"

#include "offload_internal.h"
#include "table_socket.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter/nf_tables.h>

#include <libnftnl/set.h>

static bool add_element(struct nftnl_set *set, const struct rewriting *rewriting, bool with_value)
{
    const struct tuple *tuple = &rewriting->tuple;
    const struct offload_key key = {.source = htonl(address_to_ipv4(&tuple->source.address)),
                                    .destination =
                                        htonl(address_to_ipv4(&tuple->destination.address)),
                                    .source_port.number = htons(tuple->source.port),
                                    .destination_port.number = htons(tuple->destination.port),
                                    .protocol = tuple->protocol};
    const struct offload_value value = {.address =
                                            htonl(address_to_ipv4(&rewriting->endpoint.address)),
                                        .port.number = htons(rewriting->endpoint.port)};
    struct nftnl_set_elem *element = nftnl_set_elem_alloc();

    if (element == NULL)
        return false;
    nftnl_set_elem_add(set, element);
    return nftnl_set_elem_set(element, NFTNL_SET_ELEM_KEY, &key, sizeof(key)) == 0 &&
           (!with_value ||
            nftnl_set_elem_set(element, NFTNL_SET_ELEM_DATA, &value, sizeof(value)) == 0);
}

static bool put_element(struct batch *batch, const struct packet *packet, bool adding)
{
    struct nftnl_set *set = set_begin(oversize_map_name(packet->hook));
    bool fine = set != NULL && add_element(set, &packet->rewriting, adding);

    if (fine)
        nftnl_set_elems_nlmsg_build_payload(
            batch_message(batch, adding ? NFT_MSG_NEWSETELEM : NFT_MSG_DELSETELEM,
                          adding ? NLM_F_CREATE : 0),
            set);
    if (set != NULL)
        nftnl_set_free(set);
    return fine;
}

static int change(const struct ruleset *ruleset, const struct packet *packets, size_t count,
                  bool adding)
{
    struct table_socket *socket = ruleset_socket(ruleset);
    struct batch_outcome failures;
    struct batch batch;
    size_t elements = 0;
    int result;

    for (size_t i = 0; i < count; i++)
        elements += packets[i].verdict == VERDICT_REPEAT;
    if (elements == 0)
        return 0;
    result = table_socket_begin(socket, &batch);
    for (size_t i = 0; result == 0 && i < count; i++) {
        if (packets[i].verdict == VERDICT_REPEAT && !put_element(&batch, &packets[i], adding))
            result = -ENOMEM;
    }
    if (result == 0)
        result = table_socket_try_commit(socket, &batch, &failures);
    batch_free(&batch);
    return result;
}

int oversize_add(const struct ruleset *ruleset, const struct packet *packets, size_t count)
{
    return change(ruleset, packets, count, true);
}

int oversize_remove(const struct ruleset *ruleset, const struct packet *packets, size_t count)
{
    return change(ruleset, packets, count, false);
}
