/* Supertone: GET /v1/credits. Source: docs.supertoneapi.com, "Get credit balance" and "Handling errors". */
#include "../provider.h"
#include "../reading.h"

/* The code inside the error envelope repeats the HTTP status; schema and examples write its name differently. */
static void read_code(struct reading *reading)
{
    long code;
    if (!reading_peek_integer(reading, "statusCode", &code) && !reading_peek_integer(reading, "status_code", &code))
        return;
    failure_set_number_code(reading->failure, code);
    if (code >= 400 && code <= 599) failure_set_kind(reading->failure, failure_kind_of_status(code));
}

/* {"status":"error","message":{"statusCode":401,"message":"...","error":"Unauthorized"}}, where the inner message may be
 * an array of texts; for 400 and 415 the schema has a plain text as the outer message. */
static void refusal(struct reading *reading)
{
    if (reading_enter(reading, "message", LENIENT)) {
        read_code(reading);
        if (!reading_quote(reading, "message") && !reading_quote_list(reading, "message"))
            reading_quote(reading, "error");
        reading_leave(reading);
    } else if (!reading_quote(reading, "message")) {
        reading_quote_list(reading, "message");
    }
}

/* {"balance":123}: a number, or null, which no document explains: unknown, never 0. */
static void balance(struct reading *reading)
{
    const char *status;
    size_t length;
    if (reading_peek_text(reading, "status", &status, &length) && text_same_name("error", status, length)) {
        failure_set(reading->failure, FAILURE_PROTOCOL, "an error with HTTP 200");
        refusal(reading);
        return;
    }
    reading_amount(reading, "balance", FIELD_NUMBER, NULLABLE);
}

const struct provider provider_supertone = {
    .name = "supertone",
    .title = "Supertone",
    .base_url = "https://supertoneapi.com",
    .path = "/v1/credits",
    .auth_header = "x-sup-api-key",
    .auth_scheme = "",
    .unit = "credits",
    .key_variable = "SUPERTONE_API_KEY",
    .base_variable = "SUPERTONE_BASE_URL",
    .documentation = "https://docs.supertoneapi.com/en/api-reference/endpoints/get-credit-balance",
    /* The end was announced in the READMEs of both official SDKs (see docs.supertoneapi.com/en/docs/sunset). */
    .discontinued = "2026-08-31",
    .balance = balance,
    .refusal = refusal,
};
