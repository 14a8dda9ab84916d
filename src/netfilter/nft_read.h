/*
 * nft_read.h - attributes of nf_tables messages: other programs', so every length is checked
 *
 * Internal to src/netfilter. NULL stands for an attribute that is not there.
 */
#ifndef PORTREEVE_NFT_READ_H
#define PORTREEVE_NFT_READ_H

#include <libmnl/libmnl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Copies a name, cut to what fits. False if there is none. */
bool nft_copy_name(char *name, size_t room, const struct nlattr *attribute);

bool nft_is_named(const struct nlattr *attribute, const char *name);

/* In network byte order in the message; `otherwise` if it is not there. */
uint32_t nft_read_u32(const struct nlattr *attribute, uint32_t otherwise);

/*
 * The first `room` bytes of a value (NFTA_DATA_VALUE), as if zeros followed; *length is that of
 * the whole. False if there are none.
 */
bool nft_read_value(const struct nlattr *data, uint8_t *bytes, size_t room, size_t *length);

#endif
