// The secrets' file of CHAP: what it may say, who may read it, and that no secret ever stands in a finding.
#include <doctest/doctest.h>

#include "config/config.hpp"
#include "sandbox.hpp"

using namespace diskless;
using namespace diskless::config;

namespace {

const std::string table = "[iscsi]\nchap_secrets = \"chap.secrets\"\n";

struct Secrets {
    Sandbox sandbox;
    explicit Secrets(std::string_view text, ::mode_t mode = 0600) { sandbox.text("chap.secrets", text, mode); }
    [[nodiscard]] std::filesystem::path config() const { return sandbox.path() / "diskless.toml"; }
    /// Without the path, so that a test reads like what a person sees.
    [[nodiscard]] std::string findings(const std::string& text = table) const {
        return replaced(findings_in(text, config()), sandbox.path().native() + "/", "");
    }
};

}  // namespace

TEST_CASE("users, secrets, comments, both directions") {
    const Secrets secrets{
        "# the lab\n\nanna\tone-secret-of-hers  # since 2026\r\n"
        "zoe 0123456789ab server what-the-server-says\n   \n#bob never-there-at-all"};
    CHECK(secrets.findings() == "");
    const Config config = parse(table, secrets.config());
    CHECK(config.iscsi.chap_secrets == secrets.sandbox.path() / "chap.secrets");
    REQUIRE(config.secrets.accounts().size() == 2);
    CHECK(*config.secrets.find("anna") == boot::ChapAccount{"anna", "one-secret-of-hers", "", ""});
    CHECK(*config.secrets.find("zoe") == boot::ChapAccount{"zoe", "0123456789ab", "server", "what-the-server-says"});
    CHECK(config.secrets.find("bob") == nullptr);
    CHECK(config.secrets.of({"zoe", "nobody"}).size() == 1);
}

TEST_CASE("a line that is wrong is named by its number, and nothing of it is told") {
    struct Mistake {
        const char* text;
        const char* finding;
    };
    constexpr std::string_view head = "diskless.toml:2:16: chap_secrets 'chap.secrets' ";
    const Mistake mistakes[] = {
        {"anna", "line 1 has 1 words; write: user secret, or: user secret target-user target-secret; no spaces inside"},
        {"\nanna s3cr3t-s3cr3t server",
         "line 2 has 3 words; write: user secret, or: user secret target-user target-secret; no spaces inside"},
        {"anna s3cr3t",
         "line 1 has a secret of fewer than 12 characters; make it longer (openssl rand -base64 18), or set [iscsi] "
         "allow_short_secrets = true"},
        {"anna s3cr3t-s3cr3t server s3cr3t",
         "line 1 has a secret of fewer than 12 characters; make it longer (openssl rand -base64 18), or "
         "set [iscsi] allow_short_secrets = true"},
        {"anna s3cr3t-s3cr3t\nanna s3cr3t-s3cr3t-2", "line 2 has the user of line 1 again; give it another name, or remove one of them"},
        {"anna s3cr3t-s3cr3t server s3cr3t-s3cr3t", "line 1 has the same secret for both directions; give the target another secret"},
        {"anna s3cr3t-s3cr3t\nzoe s3cr3t-s3cr3t-2 server s3cr3t-s3cr3t",
         "line 2 has the initiator's secret of line 1 as its target's; give the target another secret"},
        {"anna s3cr3t-${net0/mac}",
         "line 1 has a word with control characters or '${', or a very long one; write up to 253 printable "
         "characters"},
        {"anna s3cr3t\x01s3cr3t",
         "line 1 has a word with control characters or '${', or a very long one; write up to 253 printable "
         "characters"},
    };
    for (const Mistake& mistake : mistakes) {
        CAPTURE(mistake.text);
        const Secrets secrets{mistake.text};
        CHECK(secrets.findings() == std::string{head} + mistake.finding);
        CHECK_FALSE(secrets.findings().contains("s3cr3t"));
    }
    CHECK(Secrets{"anna s3cr3t"}.findings(table + "allow_short_secrets = true\n") == "");
}

TEST_CASE("a file that others may use is refused before a word of it is read") {
    for (const ::mode_t mode : {0644u, 0604u, 0602u, 0660u, 0620u, 0601u}) {
        CAPTURE(mode);
        CHECK(Secrets{"not even users", mode}.findings().contains(
            "others may use it; chmod 600 it; 640 is right where a group is to read it"));
    }
    CHECK(Secrets{"anna twelve-characters", 0400}.findings() == "");
    CHECK(Secrets{"anna twelve-characters", 0640}.findings() == "");
    const Sandbox empty;
    CHECK(findings_in(table, empty.path() / "diskless.toml").contains("cannot be read: No such file or directory; create it"));
    std::filesystem::create_directory(empty.path() / "chap.secrets");
    CHECK(findings_in(table, empty.path() / "diskless.toml").contains("is not a file; name a text file"));
}

TEST_CASE("users that are named have a secret") {
    const std::string further =
        "discovery_auth = [\"anna\", \"bob\"]\n"
        "[[client]]\nname = \"desk\"\nmac = \"52:54:00:12:34:01\"\nboot = \"local\"\nchap = \"carl\"\n"
        "[[target]]\nname = \"t\"\nredirect = \"san:3260\"\nchap = [\"anna\", \"dora\"]\n";
    CHECK(Secrets{"anna twelve-characters"}.findings(table + further) ==
          "diskless.toml:3:27: CHAP user 'bob' has no secret; give it a line in 'chap.secrets'\n"
          "diskless.toml:8:8: CHAP user 'carl' has no secret; give it a line in 'chap.secrets'\n"
          "diskless.toml:12:17: CHAP user 'dora' has no secret; give it a line in 'chap.secrets'");
    CHECK(
        findings_in("[iscsi]\ndiscovery_auth = \"anna\"\n") ==
        "diskless.toml:2:18: CHAP user 'anna' has no secret; set [iscsi] chap_secrets = \"chap.secrets\", and give it a line in that file");
}

TEST_CASE("the TLS port: what it needs, and what it must not be") {
    const Sandbox sandbox;
    for (const char* name : {"c.pem", "k.pem"}) sandbox.text(name, "x");
    const auto findings = [&](const std::string& lines) {
        return replaced(findings_in("[iscsi]\n" + lines, sandbox.path() / "diskless.toml"), sandbox.path().native() + "/", "");
    };
    const std::string files = "tls_cert = \"c.pem\"\ntls_key = \"k.pem\"\n";
    CHECK(findings("tls_port = 3261\n" + files) == "");
    CHECK(findings(files) == "");  // prepared, switched off
    CHECK(findings("tls_port = 3261\n") ==
          "diskless.toml:2:12: tls_port needs a certificate and its key; add tls_cert = \"…\" and tls_key = \"…\"");
    CHECK(findings("tls_port = 3260\n" + files) ==
          "diskless.toml:2:12: tls_port 3260 is [iscsi]'s port too; give one of them another port");
    CHECK(findings("tls_port = 8080\n" + files) == "diskless.toml:2:12: tls_port 8080 is [http]'s port too; give one of them another port");
    CHECK(findings("tls_port = 3261\nport = 0\n" + files) ==
          "diskless.toml:2:12: tls_port stands beside port = 0, which switches iSCSI off; give port a number");
    CHECK(findings("tls_client_ca = \"none.pem\"\n") ==
          "diskless.toml:2:17: tls_client_ca 'none.pem' does not exist; name a PEM file that exists");
}

TEST_CASE("access lists of a target") {
    const auto target = [](const std::string& lines) { return "[[target]]\nname = \"t\"\nredirect = \"san:1\"\n" + lines; };
    const Config config = parse(target("addresses = [\"192.168.77.0/24\", \"10.0.0.5-10.0.0.9\", \"10.1.1.1\"]\n"), "diskless.toml");
    const auto& addresses = config.declared.targets.at(0).addresses;
    REQUIRE(addresses.size() == 3);
    CHECK(addresses[0].text() == "192.168.77.0-192.168.77.255");
    CHECK(addresses[1].text() == "10.0.0.5-10.0.0.9");
    CHECK(addresses[2].text() == "10.1.1.1");
    for (const char* wrong : {"192.168.77.1/24", "10.0.0.9-10.0.0.5", "10.0.0", "any", "10.0.0.0/33"}) {
        CAPTURE(wrong);
        CHECK(findings_in(target("addresses = \"" + std::string{wrong} + "\"\n")).contains("is not understood; write addresses such as"));
    }
    for (const char* wrong : {"san", "san:", "san:0", "san:65536", ":3260", "a b:3260", "san:3260,1"}) {
        CAPTURE(wrong);
        CHECK(findings_in("[[target]]\nname = \"t\"\nredirect = \"" + std::string{wrong} + "\"\n").contains("redirect"));
    }
    CHECK(findings_in(target("luns = [ { lun = 0, size = \"1GiB\" } ]\n"))
              .contains("redirect stands beside luns: a target is here or somewhere else; remove one of them"));
    CHECK(findings_in("[iscsi]\nchap_algorithms = [\"md4\"]\n").contains("write \"md5\", \"sha1\", \"sha256\" or \"sha3-256\""));
    CHECK(parse("[iscsi]\nchap_algorithms = [\"sha256\"]\n", "x").iscsi.chap_algorithms == std::vector{boot::ChapAlgorithm::sha256});
}
