/* Breeze Blue: GET /v1/balance. Source: docs.breezeblue.ai, "Get account balance" and "Errors"; the classes of the codes
 * from the official SDK's error map. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "../provider.h"
#include "../reading.h"

static bool begins_with(const char *text, size_t length, const char *start)
{
    return length >= strlen(start) && memcmp(text, start, strlen(start)) == 0;
}

/* The first row that the code begins with; where none does, the HTTP status decides. */
static enum failure_kind kind_of_code(const char *code, size_t length)
{
    static const struct {
        const char *start;
        enum failure_kind kind;
    } codes[] = {
        {"AUTH_", FAILURE_AUTHENTICATION},
        {"BILLING_INSUFFICIENT_CREDITS", FAILURE_EXHAUSTED},
        {"RATE_LIMITED", FAILURE_RATE_LIMITED},
        {"GENERATION_CONCURRENCY_EXCEEDED", FAILURE_RATE_LIMITED},
        {"FORBIDDEN", FAILURE_PERMISSION},
        {"RESOURCE_NOT_FOUND", FAILURE_NOT_FOUND},
        {"BAD_REQUEST", FAILURE_INVALID_REQUEST},
        {"CONFLICT", FAILURE_INVALID_REQUEST},
        {"VALIDATION_ERROR", FAILURE_INVALID_REQUEST},
        {"UPSTREAM_", FAILURE_UNAVAILABLE},
        {"GENERATION_", FAILURE_UNAVAILABLE},
        {"LLM_CONFIG_NOT_FOUND", FAILURE_UNAVAILABLE},
    };
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
        if (begins_with(code, length, codes[i].start)) return codes[i].kind;
    }
    return FAILURE_NONE;
}

/* {"ok":false,"code":"AUTH_REQUIRED","detail":"...","error":"...","meta":null}: `error` repeats `detail`. */
static void refusal(struct reading *reading)
{
    const char *code;
    size_t length;
    if (reading_peek_text(reading, "code", &code, &length)) {
        failure_set_text_code(reading->failure, code, length);
        enum failure_kind kind = kind_of_code(code, length);
        if (kind != FAILURE_NONE) failure_set_kind(reading->failure, kind);
    }
    if (!reading_quote(reading, "detail")) reading_quote(reading, "error");
}

/* The exact balance is `balance_millicredits` where the two agree. No document states the factor of 1000, and one
 * document's sample has 0.5 beside 1: then the number in `balance` is all that is known. */
static void read_exact(struct reading *reading)
{
    static const struct field millicredits[] = {{"balance_millicredits", FIELD_INTEGER, OPTIONAL, NULL}, {0}};
    double balance, milli;
    reading_fields(reading, millicredits);
    if (!reading_peek_number(reading, "balance", &balance) ||
        !reading_peek_number(reading, "balance_millicredits", &milli))
        return;
    if (fabs(balance * 1000 - milli) >= 0.5 || fabs(milli) > 9007199254740992.0) return;
    long long whole = (long long)fabs(milli);
    char exact[TEXT_NUMBER_SIZE];
    snprintf(exact, sizeof exact, "%s%lld.%03lld", milli < 0 ? "-" : "", whole / 1000, whole % 1000);
    lua_pushstring(reading->L, exact);
    lua_setfield(reading->L, reading->into, "exact");
}

static void balance(struct reading *reading)
{
    static const struct field topup[] = {{"topup_id", FIELD_TEXT, OPTIONAL, "topup_id"},
                                         {"amount", FIELD_NUMBER, OPTIONAL, "amount"},
                                         {"status", FIELD_TEXT, OPTIONAL, "status"},
                                         /* any text by the schema, a time by the sample */
                                         {"created_at", FIELD_TIME, LENIENT, "created_at"},
                                         {0}};
    bool ok;
    if (reading_peek_boolean(reading, "ok", &ok) && !ok) {
        failure_set(reading->failure, FAILURE_PROTOCOL, "an error with HTTP 200");
        refusal(reading);
        return;
    }
    reading_amount(reading, "balance", FIELD_NUMBER, REQUIRED);
    read_exact(reading);
    reading_list(reading, "topups", "topups", topup, true);
}

const struct provider provider_breeze = {
    .name = "breeze",
    .title = "Breeze Blue",
    .base_url = "https://api.breeze.blue",
    .path = "/v1/balance",
    .auth_header = "xi-api-key",
    .auth_scheme = "",
    .unit = "credits",
    .key_variable = "BREEZE_API_KEY",
    .base_variable = "BREEZE_BASE_URL",
    .documentation = "https://docs.breezeblue.ai/api-reference/account/balance",
    .request_id_header = "x-breeze-api-key-id",
    .balance = balance,
    .refusal = refusal,
};
