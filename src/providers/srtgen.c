/* SRTGen: GET /api/v1/balance. Source: srtgen.com/en/docs, "Credit Balance" and "Authentication". */
#include <math.h>

#include "../compat.h"
#include "../provider.h"
#include "../reading.h"

static enum failure_kind kind_of_code(const char *code, size_t length)
{
    static const struct {
        const char *code;
        enum failure_kind kind;
    } codes[] = {
        {"unauthorized", FAILURE_AUTHENTICATION}, {"insufficient_balance", FAILURE_EXHAUSTED}, /* comes with HTTP 403 */
        {"not_found", FAILURE_NOT_FOUND},         {"missing_parameter", FAILURE_INVALID_REQUEST},
        {"server_error", FAILURE_UNAVAILABLE},
    };
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
        if (text_same_name(codes[i].code, code, length)) return codes[i].kind;
    }
    return FAILURE_NONE;
}

/* {"success":false,"error":"unauthorized","message":"..."} */
static void refusal(struct reading *reading)
{
    const char *code;
    size_t length;
    if (reading_peek_text(reading, "error", &code, &length)) {
        failure_set_text_code(reading->failure, code, length);
        enum failure_kind kind = kind_of_code(code, length);
        if (kind != FAILURE_NONE) failure_set_kind(reading->failure, kind);
    }
    reading_quote(reading, "message");
}

/* The current period ends when the first of the plans starts anew. */
static void read_next_reset(struct reading *reading)
{
    lua_State *L = reading->L;
    double next = INFINITY;
    lua_getfield(L, reading->into, "plans");
    for (int i = 1, count = lua_istable(L, -1) ? (int)compat_rawlen(L, -1) : 0; i <= count; i++) {
        lua_rawgeti(L, -1, i);
        lua_getfield(L, -1, "resets_at");
        if (lua_isnumber(L, -1)) next = fmin(next, lua_tonumber(L, -1));
        lua_pop(L, 2);
    }
    lua_pop(L, 1);
    if (isinf(next)) return;
    compat_pushnumber(L, next);
    lua_setfield(L, reading->into, "resets_at");
}

/* `totalBalance` is all that can be spent: what is left of the plans and what was bought on top (`extraCredits`). The
 * document's table leaves out some fields of its sample: those, and all that no balance needs, are optional. */
static void read_credits(struct reading *reading)
{
    static const struct field credits[] = {{"extraCredits", FIELD_NUMBER, OPTIONAL, "extra"},
                                           {"totalMonthlyCredits", FIELD_NUMBER, OPTIONAL, "limit"},
                                           {0}};
    static const struct field plan[] = {{"id", FIELD_TEXT, OPTIONAL, "id"},
                                        {"name", FIELD_TEXT, OPTIONAL, "name"},
                                        {"status", FIELD_TEXT, OPTIONAL, "status"},
                                        {"balance", FIELD_NUMBER, OPTIONAL, "remaining"},
                                        {"total", FIELD_NUMBER, OPTIONAL, "limit"},
                                        {"resetTime", FIELD_TIME, OPTIONAL, "resets_at"},
                                        {0}};
    if (!reading_enter(reading, "credits", REQUIRED)) return;
    reading_amount(reading, "totalBalance", FIELD_NUMBER, REQUIRED);
    reading_fields(reading, credits);
    reading_list(reading, "plans", "plans", plan, false);
    reading_leave(reading);
    read_next_reset(reading);
}

static void balance(struct reading *reading)
{
    static const struct field user[] = {
        {"name", FIELD_TEXT, OPTIONAL, "name"}, {"email", FIELD_TEXT, OPTIONAL, "email"}, {0}};
    static const struct field storage[] = {{"usage", FIELD_NUMBER, OPTIONAL, "usage"}, /* bytes */
                                           {"limit", FIELD_NUMBER, OPTIONAL, "limit"},
                                           {"formattedUsage", FIELD_TEXT, OPTIONAL, "formatted_usage"},
                                           {"formattedLimit", FIELD_TEXT, OPTIONAL, "formatted_limit"},
                                           {0}};
    static const struct field times[] = {{"updatedAt", FIELD_TIME, OPTIONAL, "updated_at"}, {0}};
    bool success;
    if (!reading_peek_boolean(reading, "success", &success)) {
        reading_expected(reading, "success", "a boolean", "none");
        return;
    }
    if (!success) {
        failure_set(reading->failure, FAILURE_PROTOCOL, "no success with HTTP 200");
        refusal(reading);
        return;
    }
    read_credits(reading);
    reading_object(reading, "user", "user", user);
    reading_object(reading, "storage", "storage", storage);
    reading_fields(reading, times);
}

const struct provider provider_srtgen = {
    .name = "srtgen",
    .title = "SRTGen",
    .base_url = "https://api.srtgen.com",
    .path = "/api/v1/balance",
    .auth_header = "x-api-key",
    .auth_scheme = "",
    .unit = "credits",
    .key_variable = "SRTGEN_API_KEY",
    .base_variable = "SRTGEN_BASE_URL",
    .documentation = "https://www.srtgen.com/en/docs/balance",
    .balance = balance,
    .refusal = refusal,
};
