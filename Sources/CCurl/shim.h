// libcurl for Swift: its variadic functions as plain ones, one for each kind of argument.
#pragma once
#define CURL_DISABLE_TYPECHECK 1
#include <curl/curl.h>

typedef size_t (*roost_curl_data)(char *, size_t, size_t, void *);
typedef curl_socket_t (*roost_curl_open)(void *, curlsocktype, struct curl_sockaddr *);
typedef int (*roost_curl_close)(void *, curl_socket_t);
typedef int (*roost_curl_prereq)(void *, char *, char *, int, int);
typedef int (*roost_curl_seek)(void *, curl_off_t, int);
typedef int (*roost_curl_resolve)(void *, void *, void *);
typedef int (*roost_curl_socket)(CURL *, curl_socket_t, int, void *, void *);
typedef int (*roost_curl_timer)(CURLM *, long, void *);

static inline CURLcode roost_set_long(CURL *h, CURLoption o, long v) { return curl_easy_setopt(h, o, v); }
static inline CURLcode roost_set_size(CURL *h, CURLoption o, curl_off_t v) { return curl_easy_setopt(h, o, v); }
static inline CURLcode roost_set_text(CURL *h, CURLoption o, const char *v) { return curl_easy_setopt(h, o, v); }
static inline CURLcode roost_set_pointer(CURL *h, CURLoption o, const void *v) { return curl_easy_setopt(h, o, v); }
static inline CURLcode roost_set_data(CURL *h, CURLoption o, roost_curl_data v) { return curl_easy_setopt(h, o, v); }
static inline CURLcode roost_set_open(CURL *h, CURLoption o, roost_curl_open v) { return curl_easy_setopt(h, o, v); }
static inline CURLcode roost_set_close(CURL *h, roost_curl_close v) { return curl_easy_setopt(h, CURLOPT_CLOSESOCKETFUNCTION, v); }
static inline CURLcode roost_set_prereq(CURL *h, roost_curl_prereq v) { return curl_easy_setopt(h, CURLOPT_PREREQFUNCTION, v); }
static inline CURLcode roost_set_seek(CURL *h, roost_curl_seek v) { return curl_easy_setopt(h, CURLOPT_SEEKFUNCTION, v); }
static inline CURLcode roost_set_resolve(CURL *h, roost_curl_resolve v) { return curl_easy_setopt(h, CURLOPT_RESOLVER_START_FUNCTION, v); }
// The file of trust roots that curl was built with, or NULL.
static inline const char *roost_curl_roots(void) { return curl_version_info(CURLVERSION_NOW)->cainfo; }
static inline CURLcode roost_get_long(CURL *h, CURLINFO i, long *v) { return curl_easy_getinfo(h, i, v); }
static inline CURLcode roost_get_pointer(CURL *h, CURLINFO i, void **v) { return curl_easy_getinfo(h, i, v); }
static inline CURLMcode roost_multi_long(CURLM *m, CURLMoption o, long v) { return curl_multi_setopt(m, o, v); }
static inline CURLMcode roost_multi_pointer(CURLM *m, CURLMoption o, void *v) { return curl_multi_setopt(m, o, v); }
static inline CURLMcode roost_multi_socket(CURLM *m, roost_curl_socket v) { return curl_multi_setopt(m, CURLMOPT_SOCKETFUNCTION, v); }
static inline CURLMcode roost_multi_timer(CURLM *m, roost_curl_timer v) { return curl_multi_setopt(m, CURLMOPT_TIMERFUNCTION, v); }
static inline CURL *roost_message_handle(const CURLMsg *m) { return m->easy_handle; }
static inline CURLcode roost_message_result(const CURLMsg *m) { return m->data.result; }
