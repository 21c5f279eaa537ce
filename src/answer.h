/* From an HTTP answer to a balance or a failure: the order in which an answer is judged, the same for every provider and
 * whoever fetched it. */
#ifndef VOICECREDITS_ANSWER_H
#define VOICECREDITS_ANSWER_H

#include <lua.h>
#include <stdbool.h>

#include "failure.h"
#include "provider.h"
#include "response.h"

/* Pushes the balance and returns true, or fills the failure (made by failure_init) and returns false. `fetched_at` is in
 * epoch seconds. Raises only when memory is out. */
bool answer_read(lua_State *L, const struct provider *provider, const struct response *response, double fetched_at,
                 struct failure *failure);

/* Says in the failure's message that the service's end was announced, where it was: for a host that is gone. */
void answer_mention_end(struct failure *failure, const struct provider *provider);

#endif
