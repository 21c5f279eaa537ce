/* Fish Audio: GET /wallet/{user_id}/api-credit, the pay-as-you-go wallet (the plan's credits are another one). Source:
 * docs.fish.audio, "Get API Credit" and "Errors"; the unit by outside sources, the document names none. */
#include "../provider.h"
#include "../reading.h"

/* The older 422: [{"loc":["query","team_id"],"type":"...","msg":"..."}], alone or as `detail`; the first is told. */
static void read_validation_errors(struct reading *reading)
{
    const char *type;
    size_t length;
    if (!reading_enter_item(reading, NULL, 1) && !reading_enter_item(reading, "detail", 1)) return;
    if (reading_peek_text(reading, "type", &type, &length)) failure_set_text_code(reading->failure, type, length);
    reading_quote_list(reading, "loc");
    reading_quote(reading, "msg");
    reading_leave(reading);
}

/* {"status":401,"message":"...","reason":null}, where the reason is a word for programs when it is there. */
static void refusal(struct reading *reading)
{
    const char *reason;
    size_t length;
    long status;
    bool has_status = reading_peek_integer(reading, "status", &status);
    if (has_status && status >= 400 && status <= 599)
        failure_set_kind(reading->failure, failure_kind_of_status(status));
    if (reading_peek_text(reading, "reason", &reason, &length)) {
        failure_set_text_code(reading->failure, reason, length);
    } else if (has_status) {
        failure_set_number_code(reading->failure, status);
    }
    if (!reading_quote(reading, "message")) read_validation_errors(reading);
}

/* {"_id":...,"user_id":...,"credit":"12.340000","created_at":...,"updated_at":...,...}: `credit` is decimal text, kept
 * digit for digit. Only what a balance is made of is required. */
static void balance(struct reading *reading)
{
    static const struct field wallet[] = {{"updated_at", FIELD_TIME, OPTIONAL, "updated_at"}, {0}};
    long status;
    if (reading_peek_integer(reading, "status", &status) && status >= 400) {
        failure_set(reading->failure, FAILURE_PROTOCOL, "status %ld with HTTP 200", status);
        refusal(reading);
        return;
    }
    reading_decimal_amount(reading, "credit");
    reading_fields(reading, wallet);
}

const struct provider provider_fish = {
    .name = "fish",
    .title = "Fish Audio",
    .base_url = "https://api.fish.audio",
    .path = "/wallet/{user_id}/api-credit",
    .auth_header = "Authorization",
    .auth_scheme = "Bearer ",
    .unit = "USD",
    .key_variable = "FISH_API_KEY",
    .base_variable = "FISH_BASE_URL",
    .documentation = "https://docs.fish.audio/api-reference/endpoint/wallet/get-api-credit",
    .options =
        {
            {"user_id", OPTION_TEXT, OPTION_IN_PATH, "self"},
            {"team_id", OPTION_TEXT, OPTION_IN_QUERY, NULL},
            {"check_free_credit", OPTION_BOOLEAN, OPTION_IN_QUERY, NULL},
        },
    .balance = balance,
    .refusal = refusal,
};
