#define _GNU_SOURCE

#include "handle.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "request.h"
#include "resources.h"
#include "secret.h"

/* A program that the host starts does not get the connections: libcurl's own sockets would be inherited. */
static curl_socket_t open_socket(void *user, curlsocktype purpose, struct curl_sockaddr *address)
{
    (void)user;
    (void)purpose;
#ifdef SOCK_CLOEXEC
    return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
#else
    curl_socket_t made = socket(address->family, address->socktype, address->protocol);
    if (made != CURL_SOCKET_BAD) (void)fcntl(made, F_SETFD, FD_CLOEXEC);
    return made;
#endif
}

static bool only_http(CURL *easy)
{
#if LIBCURL_VERSION_NUM >= 0x075500
    return curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https") == CURLE_OK;
#else
    return curl_easy_setopt(easy, CURLOPT_PROTOCOLS, CURLPROTO_HTTP | CURLPROTO_HTTPS) == CURLE_OK;
#endif
}

static bool set_limits(CURL *easy, long max_body)
{
#if LIBCURL_VERSION_NUM >= 0x075700
    /* Without it a name server that hangs holds the whole I/O thread when a transfer times out. */
    if (curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L) != CURLE_OK) return false;
#endif
    return only_http(easy) && curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, open_socket) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_MAXFILESIZE, max_body) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED) == CURLE_OK;
}

static bool set_protocols(CURL *easy)
{
    return curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 1L) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 2L) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_2TLS) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_HEADEROPT, (long)CURLHEADER_SEPARATE) == CURLE_OK && /* none for a proxy */
           curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L) == CURLE_OK;
}

struct handle *handle_open(CURLSH *share, handle_callback *on_header, handle_callback *on_body, long max_body)
{
    static char accept[] = REQUEST_ACCEPT;
    static char agent[] = REQUEST_USER_AGENT;
    struct handle *handle = calloc(1, sizeof *handle);
    if (handle == NULL) return NULL;
    CURL *easy = handle->easy = curl_easy_init();
    handle->parsed_url = curl_url();
    list_init(&handle->link);
    handle->accept = (struct curl_slist){accept, &handle->agent};
    handle->agent = (struct curl_slist){agent, &handle->auth};
    bool ready = easy != NULL && handle->parsed_url != NULL && set_limits(easy, max_body) && set_protocols(easy) &&
                 curl_easy_setopt(easy, CURLOPT_SHARE, share) == CURLE_OK &&
                 curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header) == CURLE_OK &&
                 curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body) == CURLE_OK &&
                 curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, handle->detail) == CURLE_OK &&
                 curl_easy_setopt(easy, CURLOPT_HTTPHEADER, &handle->accept) == CURLE_OK;
    if (ready) return handle;
    handle_close(handle);
    return NULL;
}

static void forget_text(struct handle_text *set)
{
    secret_free(set->text); /* a proxy's may hold its password */
    *set = (struct handle_text){false, NULL};
}

static bool is_set(const struct handle_text *set, const char *text)
{
    if (!set->known) return false;
    return set->text == NULL || text == NULL ? set->text == text : strcmp(set->text, text) == 0;
}

bool handle_was_at(const struct handle *handle, const char *url)
{
    return is_set(&handle->url, url);
}

static bool set_text(CURL *easy, CURLoption option, struct handle_text *set, const char *text)
{
    if (is_set(set, text)) return true;
    forget_text(set);
    set->text = text != NULL ? strdup(text) : NULL;
    set->known = (text == NULL || set->text != NULL) && curl_easy_setopt(easy, option, text) == CURLE_OK;
    if (!set->known) forget_text(set);
    return set->known;
}

/* The text too: libcurl keeps it beside the parsed one, and may say it in its messages. */
static bool set_url(struct handle *handle, const char *url)
{
    if (is_set(&handle->url, url)) return true;
    bool set = set_text(handle->easy, CURLOPT_URL, &handle->url, url) &&
               curl_url_set(handle->parsed_url, CURLUPART_URL, url, 0) == CURLUE_OK &&
               curl_easy_setopt(handle->easy, CURLOPT_CURLU, handle->parsed_url) == CURLE_OK;
    if (!set) forget_text(&handle->url);
    return set;
}

bool handle_prepare(struct handle *handle, const struct handle_way *way, void *user)
{
    CURL *easy = handle->easy;
    handle->auth.data = (char *)way->auth_header; /* libcurl only reads it */
    handle->detail[0] = '\0';
    return set_url(handle, way->url) && set_text(easy, CURLOPT_PROXY, &handle->proxy, way->proxy) &&
           set_text(easy, CURLOPT_CAINFO, &handle->ca_file, way->ca_file) &&
           set_text(easy, CURLOPT_CAPATH, &handle->ca_path, way->ca_path) &&
           curl_easy_setopt(easy, CURLOPT_PIPEWAIT, way->wait_for_connection ? 1L : 0L) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, way->timeout) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, way->connect_timeout) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_HEADERDATA, user) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_WRITEDATA, user) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_PRIVATE, user) == CURLE_OK;
}

void handle_part(struct handle *handle)
{
    handle->auth.data = NULL;
    /* It may quote a proxy's URL with the password. */
    if (handle->detail[0] != '\0') secret_wipe(handle->detail, sizeof handle->detail);
}

void handle_close(struct handle *handle)
{
    curl_easy_cleanup(handle->easy);
    curl_url_cleanup(handle->parsed_url);
    forget_text(&handle->url);
    forget_text(&handle->proxy);
    forget_text(&handle->ca_file);
    forget_text(&handle->ca_path);
    free(handle);
}
