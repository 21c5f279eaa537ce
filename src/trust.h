/* Where the certificates of the authorities are that TLS trusts. */
#ifndef VOICECREDITS_TRUST_H
#define VOICECREDITS_TRUST_H

/* A bundle in one file or a directory of hashed names; both NULL where libcurl's TLS library has its own store. */
struct trust {
    char *file, *path; /* owned; NULL where not used */
};

/* SSL_CERT_FILE and SSL_CERT_DIR, else CURL_CA_BUNDLE, else libcurl's own directory where it holds hashed names
 * (xxxxxxxx.0), else libcurl's own file. Never both of libcurl's: that would switch its cache of the parsed file off
 * and cost some 15 ms of CPU for each new host. Returns 0, or -1 when memory is out. */
int trust_find(struct trust *trust);

void trust_free(struct trust *trust);

#endif
