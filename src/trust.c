#define _GNU_SOURCE

#include "trust.h"

#include <curl/curl.h>
#include <dirent.h>
#include <stdbool.h>
#include <string.h>

#include "resources.h"

/* True for OpenSSL's name of a certificate in a directory: eight hexadecimal digits, a point and a number. */
static bool is_hashed_name(const char *name)
{
    return strspn(name, "0123456789abcdef") == 8 && name[8] == '.' && name[9] != '\0' &&
           strspn(name + 9, "0123456789") == strlen(name + 9);
}

static bool holds_hashed_names(const char *path)
{
    DIR *directory = path != NULL ? opendir(path) : NULL;
    if (directory == NULL) return false;
    bool found = false;
    for (struct dirent *entry; !found && (entry = readdir(directory)) != NULL;) found = is_hashed_name(entry->d_name);
    closedir(directory);
    return found;
}

static const char *from_environment(const char *variable)
{
    const char *value = getenv(variable);
    return value != NULL && value[0] != '\0' ? value : NULL;
}

static char *copy(const char *text, int *problem)
{
    if (text == NULL) return NULL;
    char *made = strdup(text);
    if (made == NULL) *problem = -1;
    return made;
}

int trust_find(struct trust *trust)
{
    const char *file = from_environment("SSL_CERT_FILE");
    const char *path = from_environment("SSL_CERT_DIR");
    if (file == NULL && path == NULL) file = from_environment("CURL_CA_BUNDLE");
#if LIBCURL_VERSION_NUM >= 0x074600
    if (file == NULL && path == NULL) {
        const curl_version_info_data *built = curl_version_info(CURLVERSION_NOW);
        if (holds_hashed_names(built->capath)) {
            path = built->capath;
        } else {
            file = built->cainfo;
        }
    }
#endif
    int problem = 0;
    trust->file = copy(file, &problem);
    trust->path = copy(path, &problem);
    if (problem != 0) trust_free(trust);
    return problem;
}

void trust_free(struct trust *trust)
{
    free(trust->file);
    free(trust->path);
    trust->file = trust->path = NULL;
}
