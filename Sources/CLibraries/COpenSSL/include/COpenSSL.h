/// TLS with OpenSSL 3: contexts, and sessions over non-blocking sockets. What a certificate has to say to be accepted is
/// decided by the hooks; the rest is OpenSSL's.
#ifndef WEFT_COPENSSL_H
#define WEFT_COPENSSL_H

#include <stddef.h>
#include <stdint.h>

struct wtls_context;
struct wtls_session;

enum wtls_san_kind { wtls_san_dns = 2, wtls_san_uri = 6, wtls_san_ip = 7, wtls_san_email = 1 };

/// A name of a certificate. The bytes may hold anything, NUL included.
struct wtls_san {
    int kind;
    const uint8_t *bytes;
    size_t length;
};

/// What the hook is told of a certificate whose chain was found good.
struct wtls_peer {
    const struct wtls_san *names;
    size_t count;
    int is_authority;
    /// keyCertSign or cRLSign are among its uses.
    int may_sign_certificates;
    const char *subject;
    /// What the session was made with; NULL when nothing was.
    const char *wanted_name;
    /// SHA-256 of the certificate, and of its public key with the key's kind.
    const uint8_t *digest;
    const uint8_t *key_digest;
};

struct wtls_hooks {
    /// Which of the context's certificates serves a name.
    int (*choose)(void *owner, const char *name, size_t length);
    /// 1: accepted. 0: refused, and `reason` says why.
    int (*judge)(void *owner, const struct wtls_peer *peer, char *reason, size_t size);
    /// The last user of the context is gone.
    void (*release)(void *owner);
};

enum wtls_verify { wtls_verify_none, wtls_verify_optional, wtls_verify_required };

struct wtls_settings {
    int is_server;
    /// 0x0303 or 0x0304.
    int minimum_version;
    int maximum_version;
    /// For TLS 1.2, in OpenSSL's words; NULL: ephemeral keys and authenticated encryption only.
    const char *ciphers;
    const char *groups;
    /// Length-prefixed names, in the order of preference.
    const uint8_t *protocols;
    size_t protocols_length;
    enum wtls_verify verify;
    int allows_resumption;
    int checks_revocation;
    int maximum_depth;
    /// Only the peer's own certificate is looked up in the revocation lists, not those of its authorities.
    int revokes_leaf_only;
    /// Dates do not count.
    int ignores_dates;
    /// Whatever the peer shows is taken; `wtls_is_verified` says what it is worth.
    int accepts_untrusted;
    /// The chain is not looked at: who the peer is the hook tells by the certificate's digests.
    int skips_chain;
    /// An RSA certificate that names its key's uses has to name signatures.
    int checks_key_usage;
    int prefers_client_ciphers;
    /// How long sessions may be resumed; 0 = OpenSSL's default.
    long session_seconds;
    /// A client keeps so many sessions for resumption.
    int kept_sessions;
    /// Names of signature schemes; NULL: OpenSSL's.
    const char *signatures;
};

/// A context with no certificate yet; NULL, and why, when a setting is unusable. Owns `owner` from now on, also on failure.
struct wtls_context *wtls_context_new(const struct wtls_settings *settings, const struct wtls_hooks *hooks, void *owner,
    char *error, size_t size);
/// Adds a certificate with its chain and key in PEM; its place, or -1 and why. A second key type for the same names goes
/// `beside` an earlier certificate (its place, else -1).
int wtls_context_add(struct wtls_context *context, const void *chain, size_t chain_length, const void *key,
    size_t key_length, const char *password, int beside, char *error, size_t size);
/// Trusts the authorities of a PEM bundle; their number, or -1 and why.
int wtls_context_trust(struct wtls_context *context, const void *bundle, size_t length, char *error, size_t size);
/// Trusts the system's authorities.
int wtls_context_trust_system(struct wtls_context *context);
/// Adds revocation lists in PEM; their number, or -1 and why.
int wtls_context_revoke(struct wtls_context *context, const void *lists, size_t length, char *error, size_t size);
/// To be called once after the last change and before the first session.
void wtls_context_finish(struct wtls_context *context);
void wtls_context_free(struct wtls_context *context);

/// A session on a connected non-blocking socket, which stays the caller's. `name` is what a client asks for; `wanted` goes to
/// the hook; `prefix` are bytes that were read from the socket already.
struct wtls_session *wtls_session_new(struct wtls_context *context, int fd, const char *name, const char *wanted,
    const void *prefix, size_t prefix_length);
void wtls_session_free(struct wtls_session *session);

/// Goes on with the handshake: 1 done, 0 wants to read, 2 wants to write, -1 failed (`wtls_reason`).
int wtls_handshake(struct wtls_session *session);
/// Reads what is there: a count, 0 at the end that the peer declared, or `-errno`: EAGAIN, ECONNRESET when the stream was cut
/// off, EPROTO when the peer broke the protocol.
long wtls_receive(struct wtls_session *session, void *bytes, size_t length);
/// Bytes are held inside that no event of the socket will tell of.
int wtls_has_more(const struct wtls_session *session);
/// Writes what fits: a count or `-errno`. After EAGAIN the same bytes, and at least as many, must come next.
long wtls_send(struct wtls_session *session, const void *bytes, size_t length);
/// Three pieces, as one record where they fit.
long wtls_send3(struct wtls_session *session, const void *first, size_t first_length, const void *second,
    size_t second_length, const void *third, size_t third_length);
/// The same, and `wtls_end` follows at once.
long wtls_send3_more(struct wtls_session *session, const void *first, size_t first_length, const void *second,
    size_t second_length, const void *third, size_t third_length);
/// Whether the peer has neither sent nor ended anything.
int wtls_is_quiet(struct wtls_session *session);
/// Declares the end of what is sent; it waits for the socket's own end.
void wtls_end(struct wtls_session *session);

enum wtls_failure {
    wtls_failure_none, wtls_failure_other, wtls_failure_no_certificate, wtls_failure_chain, wtls_failure_identity
};
/// What kind of failure it was.
enum wtls_failure wtls_failure(const struct wtls_session *session);
/// Whether the peer gave a certificate whose chain is good.
int wtls_is_verified(const struct wtls_session *session);
int wtls_has_peer(const struct wtls_session *session);

/// Why the session failed; "" as long as it did not.
const char *wtls_reason(const struct wtls_session *session);
int wtls_is_version13(const struct wtls_session *session);
const char *wtls_version(const struct wtls_session *session);
const char *wtls_cipher(const struct wtls_session *session);
int wtls_was_resumed(const struct wtls_session *session);
/// The name that the client asked for; NULL when it gave none.
const char *wtls_server_name(const struct wtls_session *session);
/// The application protocol that was agreed on; its length, 0 when none was.
size_t wtls_protocol(const struct wtls_session *session, const uint8_t **bytes);
/// Calls back with the peer's certificate; 0 when it gave none.
int wtls_peer(const struct wtls_session *session, void (*use)(void *, const struct wtls_peer *), void *argument);
/// The SHA-256 of the peer's certificate in hexadecimal digits; 0 when it gave none.
int wtls_peer_digest(const struct wtls_session *session, char digits[65]);
/// The same with SHA-1: for those who look certificates up by it.
int wtls_peer_short_digest(const struct wtls_session *session, char digits[41]);

/// What stands in a certificate, for pages and messages.
struct wtls_certificate {
    const struct wtls_peer *peer;
    const char *issuer;
    const char *serial;
    /// Seconds since 1970.
    int64_t not_before;
    int64_t not_after;
    const char *key_type;
};
/// Calls back with the peer's certificate, or with `own` the one that was shown to it; 0 when there is none.
int wtls_session_certificate(const struct wtls_session *session, int own,
    void (*use)(void *, const struct wtls_certificate *), void *argument);
/// The peer's certificate in PEM, with `chain` all that it sent. To be freed with `free`; NULL when it gave none.
char *wtls_peer_text(const struct wtls_session *session, int chain, size_t *length);
/// The number of the session, as far as there is one; its length.
size_t wtls_session_id(const struct wtls_session *session, uint8_t id[32]);
/// The group of the key exchange; "" when there was none.
const char *wtls_group(const struct wtls_session *session);
/// Calls back with each certificate of a PEM text; their number, or -1 and why.
int wtls_certificates(const void *text, size_t length, void (*use)(void *, const struct wtls_certificate *),
    void *argument, char *error, size_t size);

/// Signatures of tokens. A key is constant: any thread may verify with it.
struct wsig_key;

/// Sizes of RSA keys that are accepted: smaller ones prove nothing (RFC 7518 section 3.3), larger ones take too long.
enum { wsig_rsa_least_bits = 2048, wsig_rsa_most_bits = 8192 };

enum wsig_scheme { wsig_rsa_pkcs1, wsig_rsa_pss, wsig_ecdsa, wsig_eddsa };

/// NULL when the numbers are no key of the kind, or none that is accepted. A point is 04 and both coordinates.
struct wsig_key *wsig_rsa(const uint8_t *n, size_t n_length, const uint8_t *e, size_t e_length);
struct wsig_key *wsig_ec(const char *group, const uint8_t *point, size_t length);
struct wsig_key *wsig_ed25519(const uint8_t *bytes, size_t length);
void wsig_free(struct wsig_key *key);

/// 1 when the signature is the key's for this message. `bits`: of the SHA-2 sum.
int wsig_verify(const struct wsig_key *key, enum wsig_scheme scheme, int bits, const void *message, size_t length,
                const void *signature, size_t signature_length);
/// The same for a shared secret; takes the same time wherever the sums differ.
int wsig_verify_hmac(int bits, const void *secret, size_t secret_length, const void *message, size_t length,
                     const void *signature, size_t signature_length);

/// What a new certificate shall say.
struct wtls_wish {
    const char *common_name;
    const char *const *organizations;
    size_t organization_count;
    /// `DNS:localhost,IP:127.0.0.1`; NULL for none.
    const char *names;
    long seconds;
    /// Else a client's. Without meaning for an authority.
    int is_server;
};
/// Makes a key (P-256) and a certificate for it, in PEM, each to be freed with `free`. Without an issuer it is an authority that
/// signs itself. 1, or 0 and why.
int wtls_issue(const struct wtls_wish *wish, const char *issuer_certificate, const char *issuer_key, char **certificate,
    char **key, char *error, size_t size);
/// One of the common names or organizations in the peer's certificate, as UTF-8: its length, -1 when there is no such.
long wtls_peer_name(const struct wtls_session *session, int is_organization, int index, char *text, size_t size);

/// HMAC with SHA-256; 1 when it was made.
int wsig_hmac(const void *secret, size_t secret_length, const void *message, size_t length, uint8_t sum[32]);
/// Bytes by chance for keys; 1 when there are any.
int wsig_random(uint8_t *bytes, size_t length);

/// SHA-256 over bytes that come in pieces.
struct wdig;

/// NULL when memory is short.
struct wdig *wdig_new(void);
void wdig_add(struct wdig *digest, const void *bytes, size_t length);
/// The sum of all that was added; the digest then begins anew.
void wdig_finish(struct wdig *digest, uint8_t sum[32]);
void wdig_free(struct wdig *digest);

#endif
