---@meta
-- LuaCATS definitions of everything public, for language servers; nothing loads this file. Times are seconds, points in time
-- Unix epoch seconds, amounts are in the balance's unit.
--
-- Programming mistakes (an unknown provider, option or type) raise an error that names the nearest valid word. Everything
-- that can go wrong at run time is returned as `nil, failure`.

---@alias voicecredits.provider "supertone"|"suno"|"fish"|"srtgen"|"breeze"

---@alias voicecredits.kind
---| "configuration"   # no key, a key with control characters, a base URL that is not https (http: loopback only)
---| "authentication"  # 401; Suno code 401; Breeze AUTH_*
---| "permission"      # 403
---| "exhausted"       # 402; Suno code 429; SRTGen insufficient_balance; Breeze BILLING_INSUFFICIENT_CREDITS
---| "not_found"       # 404, 410
---| "invalid_request" # other 4xx; Suno codes 400, 404, 413
---| "rate_limited"    # 429; Suno codes 405, 430; Breeze RATE_LIMITED
---| "unavailable"     # 408, 425, 5xx; Suno codes 455, 500; out of memory or descriptors on this side
---| "timeout"         # the check's time ran out, in whatever phase
---| "network"         # name not found, refused, reset, closed early, no connection within connect_timeout
---| "tls"             # the certificate or the handshake was not acceptable
---| "protocol"        # not what the provider documents: not JSON, wrong shape, redirect, too large, compressed
---| "insufficient"    # from ensure: the check worked, the balance is too low or unknown
---| "cancelled"       # session:cancel, or the session was closed

--- The options of a check.
---@class voicecredits.options
---@field api_key? string the provider's environment variable when absent
---@field account? string a label of your own, "default" when absent
---@field base_url? string the provider's `base_variable`, else its own address, when absent; may carry a path
---@field timeout? number for the whole check, retries and name look-up included; 10
---@field connect_timeout? number for name, connection and handshake of one exchange; 4
---@field retries? integer how many more times what may pass is tried; 2
---@field proxy? string URL of a proxy; when absent the environment's (https_proxy, no_proxy, ...) is used
---@field ca_file? string certificates to trust instead of the system's, one PEM file
---@field ca_path? string the same as a directory of hashed names
---@field session? voicecredits.session the module's own when absent
---@field wait? fun(session: voicecredits.session, attempt: integer) returns when the session may be ready; else the thread sleeps
---@field user_id? string Fish only: whose wallet, "self"
---@field team_id? string Fish only
---@field check_free_credit? boolean Fish only: fills `raw.has_free_credit`

--- An account for check_all: options of its own, and its provider.
---@class voicecredits.account: voicecredits.options
---@field provider voicecredits.provider

---@class voicecredits.plan
---@field id? string
---@field name? string
---@field status? string "active", "past_due"
---@field remaining? number
---@field limit? number
---@field resets_at? number

---@class voicecredits.topup
---@field topup_id? string
---@field amount? number
---@field status? string
---@field created_at? number

---@class voicecredits.storage
---@field usage? number bytes
---@field limit? number bytes
---@field formatted_usage? string
---@field formatted_limit? string

--- A check's good answer. tostring() shows provider, account, amount and unit.
---@class voicecredits.balance
---@field provider voicecredits.provider
---@field account string
---@field remaining? number nil when the provider says that it does not know: never 0
---@field exact? string the same as decimal text, digit for digit where the provider sends text
---@field unit "credits"|"USD"
---@field limit? number of the current period (SRTGen)
---@field resets_at? number when the first of the plans starts anew (SRTGen)
---@field extra? number the part of `remaining` that was bought on top and does not expire (SRTGen)
---@field updated_at? number when the provider last changed it (Fish, SRTGen)
---@field plans? voicecredits.plan[] SRTGen
---@field topups? voicecredits.topup[] Breeze; fields it adds later are kept
---@field storage? voicecredits.storage SRTGen
---@field user? { name: string?, email: string? } SRTGen: a person's data
---@field request_id? string Breeze: the public id of the key, for its support
---@field fetched_at number
---@field elapsed number
---@field attempts integer how many exchanges it took
---@field raw table the decoded body, untouched; JSON null is voicecredits.null

--- A check's bad answer. tostring() is one line. It never holds a key, a body or a person's data.
---@class voicecredits.failure
---@field kind voicecredits.kind
---@field message string at most 200 printable characters
---@field provider? voicecredits.provider
---@field account? string
---@field status? integer HTTP
---@field code? string|integer the provider's own
---@field retryable boolean whether it may pass by itself
---@field retry_after? number seconds, as the server said
---@field request_id? string
---@field attempts integer
---@field elapsed? number

---@class voicecredits.row
---@field provider voicecredits.provider
---@field account string
---@field balance? voicecredits.balance
---@field failure? voicecredits.failure

---@class voicecredits.provider_info
---@field name voicecredits.provider
---@field title string
---@field base_url string
---@field path string
---@field auth_header string
---@field unit "credits"|"USD"
---@field key_variable string
---@field base_variable string
---@field documentation string
---@field discontinued? string the announced end of the service, "YYYY-MM-DD"

--- What to send with an HTTP client of your own. The headers hold the key.
---@class voicecredits.request
---@field method "GET"
---@field url string
---@field headers table<string, string>

--- What such a client got. Header names of any letter case; the values of one that came again as an array.
---@class voicecredits.response
---@field status integer
---@field headers? table<string, string|string[]>
---@field body? string

--- Ways to wait in an event loop, for the option `wait`; each is called in a coroutine of that loop.
---@class voicecredits.wait
---@field cqueues fun(session: voicecredits.session)
---@field copas fun(session: voicecredits.session)
---@field luv fun(session: voicecredits.session)
---@field openresty fun(session: voicecredits.session, attempt: integer)

---@class voicecredits
---@field wait voicecredits.wait
---@field null lightuserdata JSON null inside balance.raw
---@field _VERSION string
local voicecredits = {}

---@param options? voicecredits.options
---@return voicecredits.balance? balance
---@return voicecredits.failure? failure
function voicecredits.supertone(options) end

---@param options? voicecredits.options
---@return voicecredits.balance? balance
---@return voicecredits.failure? failure
function voicecredits.suno(options) end

---@param options? voicecredits.options
---@return voicecredits.balance? balance
---@return voicecredits.failure? failure
function voicecredits.fish(options) end

---@param options? voicecredits.options
---@return voicecredits.balance? balance
---@return voicecredits.failure? failure
function voicecredits.srtgen(options) end

---@param options? voicecredits.options
---@return voicecredits.balance? balance
---@return voicecredits.failure? failure
function voicecredits.breeze(options) end

---@param provider voicecredits.provider
---@param options? voicecredits.options
---@return voicecredits.balance? balance
---@return voicecredits.failure? failure
function voicecredits.check(provider, options) end

--- All at once; rows in the order of the accounts.
---@param accounts? voicecredits.account[] every provider whose key is in the environment when nil
---@param options? voicecredits.options defaults for every account
---@return voicecredits.row[]? rows
---@return voicecredits.failure? failure only when no session could be opened
function voicecredits.check_all(accounts, options) end

--- The balance if it is known and at least `minimum`, else a failure, of kind "insufficient" where the check worked.
---@param provider voicecredits.provider
---@param minimum number
---@param options? voicecredits.options
---@return voicecredits.balance? balance
---@return voicecredits.failure? failure
function voicecredits.ensure(provider, minimum, options) end

---@param provider voicecredits.provider
---@param options? voicecredits.options
---@return voicecredits.request? request
---@return voicecredits.failure? failure of kind "configuration"
function voicecredits.request(provider, options) end

--- Reads any HTTP client's answer.
---@param provider voicecredits.provider
---@param response voicecredits.response
---@param options? voicecredits.options `account` labels the answer; the text of `api_key` is kept out of a failure
---@return voicecredits.balance? balance
---@return voicecredits.failure? failure
function voicecredits.parse(provider, response, options) end

---@return voicecredits.provider_info[] providers a table of your own
function voicecredits.providers() end

---@param options? { max_in_flight?: integer, max_per_host?: integer } exchanges at once, 64; connections to one host, 8
---@return voicecredits.session? session
---@return voicecredits.failure? failure of kind "unavailable" when the system gives no thread or descriptor
function voicecredits.session(options) end

--- A connection pool with its I/O thread, its limits and its running checks.
---@class voicecredits.session
local session = {}

--- Starts a check and returns at once.
---@param provider voicecredits.provider
---@param options? voicecredits.options
---@return integer? id
---@return voicecredits.failure? failure of kind "configuration"
function session:submit(provider, options) end

--- A check that has finished; nil when there is none. Never waits: `for id, balance, failure in session.next, session do`.
---@return integer? id
---@return voicecredits.balance? balance
---@return voicecredits.failure? failure
function session:next() end

--- The answer of one check; nil, nil while it runs. From the first call on `next` leaves it alone. An id that is not pending
--- is an error.
---@param id integer
---@param seconds? number how long to wait for it: 0 when absent, math.huge for as long as it takes
---@return voicecredits.balance? balance
---@return voicecredits.failure? failure
function session:take(id, seconds) end

--- Sleeps until something has finished (true), or the time is over (false). Without a time: for ever, but false at once
--- when nothing is pending.
---@param seconds? number
---@return boolean finished
function session:wait(seconds) end

--- How many checks were submitted and not yet returned.
---@return integer
function session:pending() end

--- Ends a check: it will be returned as "cancelled". False when it has finished already or is not known.
---@param id integer
---@return boolean
function session:cancel(id) end

--- Nobody will ask for the answer of this check: it is ended and forgotten. For finalizers: it never waits and never raises.
---@param id integer
function session:abandon(id) end

--- Ends the session and its thread; what is pending is returned by `next` or `take` as "cancelled", for which the descriptor
--- is readable until the last was returned. May be called again.
function session:close() end

--- The descriptor to watch for reading. An error when the session is closed and all of its answers were returned.
---@return integer descriptor
function session:pollfd() end

--- The same for LuaSocket and copas.
---@return integer descriptor
function session:getfd() end

--- "r": cqueues' protocol.
---@return "r"
function session:events() end

--- nil: the I/O thread keeps the time (cqueues' protocol).
---@return nil
function session:timeout() end

--- Whether `next` has something without a look at the descriptor (LuaSocket's protocol).
---@return boolean
function session:dirty() end

return voicecredits
