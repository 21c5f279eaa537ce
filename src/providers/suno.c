/* Suno through sunoapi.org: GET /api/v1/generate/credit. Source: docs.sunoapi.org, "Get Remaining Credits". */
#include "../provider.h"
#include "../reading.h"

/* The ten codes of the envelope. 429 is not HTTP's: here it means that the credits are used up. */
static enum failure_kind kind_of_code(long code)
{
    switch (code) {
    case 400: return FAILURE_INVALID_REQUEST;
    case 401: return FAILURE_AUTHENTICATION;
    case 404: return FAILURE_INVALID_REQUEST; /* "invalid request method or path" */
    case 405: return FAILURE_RATE_LIMITED;    /* "rate limit exceeded" */
    case 413: return FAILURE_INVALID_REQUEST;
    case 429: return FAILURE_EXHAUSTED;
    case 430: return FAILURE_RATE_LIMITED; /* "call frequency is too high" */
    case 455: return FAILURE_UNAVAILABLE;  /* "system maintenance" */
    case 500: return FAILURE_UNAVAILABLE;
    default: return FAILURE_NONE;
    }
}

/* {"code":430,"msg":"..."}, with any HTTP status: the document does not say which. */
static void refusal(struct reading *reading)
{
    long code;
    if (reading_peek_integer(reading, "code", &code)) {
        failure_set_number_code(reading->failure, code);
        if (kind_of_code(code) != FAILURE_NONE) failure_set_kind(reading->failure, kind_of_code(code));
    }
    reading_quote(reading, "msg");
}

/* {"code":200,"msg":"success","data":100}: a balance only where the envelope says 200 too. */
static void balance(struct reading *reading)
{
    long code;
    if (reading_peek_integer(reading, "code", &code) && code != 200) {
        failure_set(reading->failure, FAILURE_PROTOCOL, "code %ld", code);
        refusal(reading);
        return;
    }
    reading_fields(reading, (const struct field[]){{"code", FIELD_INTEGER, REQUIRED, NULL}, {0}});
    reading_amount(reading, "data", FIELD_INTEGER, REQUIRED);
}

const struct provider provider_suno = {
    .name = "suno",
    .title = "Suno (sunoapi.org)",
    .base_url = "https://api.sunoapi.org",
    .path = "/api/v1/generate/credit",
    .auth_header = "Authorization",
    .auth_scheme = "Bearer ",
    .unit = "credits",
    .key_variable = "SUNO_API_KEY",
    .base_variable = "SUNO_BASE_URL",
    .documentation = "https://docs.sunoapi.org/suno-api/get-remaining-credits",
    .balance = balance,
    .refusal = refusal,
};
