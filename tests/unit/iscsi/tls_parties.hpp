// Certificates made on the spot, and a client of OpenSSL's on memory: the other end of TLS in tests.
#pragma once

#include <doctest/doctest.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <stdexcept>
#include <string>

namespace diskless::test {

namespace fs = std::filesystem;

/// A key and its certificate, signed by `issuer` or by itself; as PEM files too.
struct Party {
    Party(const fs::path& folder, const char* name, const Party* issuer = nullptr)
        : certificate{folder / (std::string{name} + ".pem")}, key{folder / (std::string{name} + ".key")} {
        pkey = EVP_EC_gen("P-256");
        x509 = X509_new();
        X509_set_version(x509, X509_VERSION_3);
        ASN1_INTEGER_set(X509_get_serialNumber(x509), 1);
        X509_gmtime_adj(X509_getm_notBefore(x509), -3600);
        X509_gmtime_adj(X509_getm_notAfter(x509), 3600);
        X509_set_pubkey(x509, pkey);
        X509_NAME* const subject = X509_get_subject_name(x509);
        X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, reinterpret_cast<const unsigned char*>(name), -1, -1, 0);
        X509_set_issuer_name(x509, issuer != nullptr ? X509_get_subject_name(issuer->x509) : subject);
        if (issuer == nullptr) {
            X509_EXTENSION* const authority = X509V3_EXT_conf_nid(nullptr, nullptr, NID_basic_constraints, "critical,CA:TRUE");
            X509_add_ext(x509, authority, -1);
            X509_EXTENSION_free(authority);
        }
        if (X509_sign(x509, issuer != nullptr ? issuer->pkey : pkey, EVP_sha256()) == 0) throw std::runtime_error{"X509_sign"};
        write(certificate, [&](std::FILE* file) { PEM_write_X509(file, x509); });
        write(key, [&](std::FILE* file) { PEM_write_PrivateKey(file, pkey, nullptr, nullptr, 0, nullptr, nullptr); });
    }
    Party(const Party&) = delete;
    Party& operator=(const Party&) = delete;
    ~Party() {
        X509_free(x509);
        EVP_PKEY_free(pkey);
    }
    static void write(const fs::path& path, auto&& what) {
        std::FILE* const file = std::fopen(path.c_str(), "w");
        REQUIRE(file != nullptr);
        what(file);
        std::fclose(file);
    }
    fs::path certificate, key;
    EVP_PKEY* pkey = nullptr;
    X509* x509 = nullptr;
};

struct Folder {
    Folder() {
        std::string pattern = (fs::temp_directory_path() / "diskless-tls-XXXXXX").string();
        if (::mkdtemp(pattern.data()) == nullptr) throw std::runtime_error{"mkdtemp failed"};
        path = pattern;
    }
    Folder(const Folder&) = delete;
    Folder& operator=(const Folder&) = delete;
    ~Folder() { fs::remove_all(path); }
    fs::path path;
};

struct Parties {
    Folder folder;
    Party authority{folder.path, "authority"};
    Party server{folder.path, "server", &authority};
    Party client{folder.path, "client", &authority};
    Party stranger{folder.path, "stranger"};
};

/// The initiator's side, trusting `authority`, showing `own`.
struct TlsClient {
    explicit TlsClient(const Party& authority, const Party* own = nullptr, int newest = TLS1_3_VERSION, int oldest = TLS1_VERSION)
        : context{SSL_CTX_new(TLS_client_method())} {
        SSL_CTX_set_security_level(context, 0);
        SSL_CTX_set_min_proto_version(context, oldest);
        SSL_CTX_set_max_proto_version(context, newest);
        SSL_CTX_load_verify_file(context, authority.certificate.c_str());
        SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nullptr);
        if (own != nullptr) {
            SSL_CTX_use_certificate(context, own->x509);
            SSL_CTX_use_PrivateKey(context, own->pkey);
        }
        ssl = SSL_new(context);
        SSL_set_bio(ssl, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
        SSL_set_connect_state(ssl);
    }
    TlsClient(const TlsClient&) = delete;
    TlsClient& operator=(const TlsClient&) = delete;
    ~TlsClient() {
        SSL_free(ssl);
        SSL_CTX_free(context);
    }
    SSL_CTX* context;
    SSL* ssl = nullptr;
};

}  // namespace diskless::test
