/*
 * uplinks.h - interfaces that lead outside and are not external
 */
#ifndef PORTREEVE_GATEWAY_UPLINKS_H
#define PORTREEVE_GATEWAY_UPLINKS_H

#include "lock.h"

/*
 * Reads the default routes, and gives the interfaces that hold one, but are neither external nor in
 * `untranslated`, to the translator and the kernel's rules. Returns 0, or -errno and a sentence.
 */
int gateway_refresh_uplinks(struct gateway *gateway, struct error *error);

/* Once a second: reads them if that was put off, and says by which of them packets would leave. */
void gateway_check_uplinks(struct gateway *gateway);

#endif
