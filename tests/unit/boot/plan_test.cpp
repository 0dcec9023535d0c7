#include "boot/plan.hpp"

#include <doctest/doctest.h>

#include "boot/script.hpp"

using namespace diskless;
using namespace diskless::boot;

namespace {

const BootServer server{.address = *Ipv4Address::parse("192.168.77.1"), .target_prefix = "iqn.2026-11.lan.lab"};

Client desk(BootMethod method) {
    return {.name = "desk-01",
            .macs = {*MacAddress::parse("52:54:00:12:34:01")},
            .address = Ipv4Address::parse("192.168.77.11"),
            .boot = method,
            .kernel = {.cmdline = "root=LABEL=root ro ip=dhcp {iscsi}"},
            .script = "mine.ipxe",
            .disks = {{.lun = 0, .source = FileSource{.path = "desk-01.img"}}}};
}

Firmware firmware(Stage stage, Architecture architecture = Architecture::bios) {
    return {.stage = stage, .architecture = architecture, .ipxe_http = true, .ipxe_iscsi = true};
}

}  // namespace

// The strings are those of the captures in tests/golden/dhcp.
TEST_CASE("firmware is recognised by what it sends") {
    CHECK(firmware_of({.architecture = 0, .vendor_class = "PXEClient:Arch:00000:UNDI:002001", .user_class = "iPXE"}).stage == Stage::ipxe);
    CHECK(firmware_of({.architecture = 0, .vendor_class = "PXEClient:Arch:00000:UNDI:002001", .user_class = "\x04iPXE"}).stage ==
          Stage::ipxe);
    CHECK(firmware_of({.architecture = 7, .vendor_class = "PXEClient:Arch:00007:UNDI:003000"}).stage == Stage::pxe_rom);
    CHECK(firmware_of({.architecture = 16, .vendor_class = "HTTPClient:Arch:00016:UNDI:003000"}).stage == Stage::http_firmware);
    CHECK(firmware_of({.vendor_class = "Linux ipconfig"}).stage == Stage::system);
    CHECK(firmware_of({}).stage == Stage::plain);
    CHECK(firmware_of({.requested = "\x01\x03\x06\x11"}).stage == Stage::san_firmware);
    CHECK(firmware_of({.requested = "\x01\x03\x06\x0c\x11"}).stage == Stage::plain);
    CHECK(firmware_of({.vendor_class = "Linux ipconfig", .requested = "\x01\x03\x06\x11"}).stage == Stage::system);
}

TEST_CASE("a PXE ROM gets the loader of its architecture by TFTP") {
    const Client client = desk(BootMethod::sanboot);
    struct Case {
        Architecture architecture;
        const char* loader;
    };
    for (const auto& [architecture, loader] :
         {Case{Architecture::bios, "undionly.kpxe"}, Case{Architecture::efi_x64, "snponly.efi"}, Case{Architecture::efi_bc, "snponly.efi"},
          Case{Architecture::efi_arm64, "snponly-arm64.efi"}}) {
        const BootPlan plan = plan_boot(&client, firmware(Stage::pxe_rom, architecture), server);
        CHECK(plan.boots);
        CHECK(plan.boot_file == loader);
        CHECK(plan.vendor_class == "PXEClient");
        CHECK(plan.root_path.empty());
    }
    CHECK_FALSE(plan_boot(&client, firmware(Stage::pxe_rom, static_cast<Architecture>(200)), server).boots);
}

TEST_CASE("a client's own loader wins") {
    Client client = desk(BootMethod::sanboot);
    client.loader = "ipxe.efi";
    CHECK(plan_boot(&client, firmware(Stage::pxe_rom, Architecture::efi_x64), server).boot_file == "ipxe.efi");
    CHECK(plan_boot(&client, firmware(Stage::http_firmware, Architecture::http_x64), server).boot_file ==
          "http://192.168.77.1:8080/boot/ipxe.efi");
}

TEST_CASE("UEFI HTTP boot gets the URL and its class echoed") {
    const Client client = desk(BootMethod::sanboot);
    const BootPlan plan = plan_boot(&client, firmware(Stage::http_firmware, Architecture::http_x64), server);
    CHECK(plan.boot_file == "http://192.168.77.1:8080/boot/snponly.efi");
    CHECK(plan.vendor_class == "HTTPClient");
}

TEST_CASE("iPXE gets its script, or its root path where it cannot or we do not speak HTTP, never both") {
    const Client client = desk(BootMethod::sanboot);
    const BootPlan script = plan_boot(&client, firmware(Stage::ipxe), server);
    CHECK(script.boot_file == "http://192.168.77.1:8080/boot.ipxe?mac=52-54-00-12-34-01");
    CHECK(script.root_path.empty());
    CHECK(script.initiator == "iqn.2026-11.lan.lab.initiator:desk-01");

    Firmware without_http = firmware(Stage::ipxe);
    without_http.ipxe_http = false;
    const BootPlan root = plan_boot(&client, without_http, server);
    CHECK(root.root_path == "iscsi:192.168.77.1::3260:0:iqn.2026-11.lan.lab:desk-01");
    CHECK(root.boot_file.empty());

    BootServer no_http = server;
    no_http.http_port = 0;
    CHECK(plan_boot(&client, firmware(Stage::ipxe), no_http).root_path == root.root_path);
    const Client kernel = desk(BootMethod::kernel);
    CHECK(plan_boot(&kernel, firmware(Stage::ipxe), no_http).boot_file == "boot.ipxe");
}

TEST_CASE("an initiator in the firmware gets its root path unasked; a system, and machines that boot locally, get nothing") {
    const Client client = desk(BootMethod::sanboot);
    CHECK(plan_boot(&client, firmware(Stage::plain), server).root_path == "iscsi:192.168.77.1::3260:0:iqn.2026-11.lan.lab:desk-01");
    CHECK(plan_boot(&client, firmware(Stage::san_firmware), server) == plan_boot(&client, firmware(Stage::plain), server));
    CHECK(plan_boot(&client, firmware(Stage::system), server) == BootPlan{});
    const Client local = desk(BootMethod::local);
    CHECK(plan_boot(&local, firmware(Stage::pxe_rom), server) == BootPlan{});
    CHECK(plan_boot(nullptr, firmware(Stage::plain), server) == BootPlan{});
}

TEST_CASE("a machine nobody declared gets a loader and the menu") {
    CHECK(plan_boot(nullptr, firmware(Stage::pxe_rom), server).boot_file == "undionly.kpxe");
    CHECK(plan_boot(nullptr, firmware(Stage::ipxe), server).boot_file == "http://192.168.77.1:8080/boot.ipxe");
    const std::string menu = ipxe_script(nullptr, server);
    CHECK(menu.contains("menu diskless"));
    CHECK_FALSE(menu.contains("item disk"));
}

TEST_CASE("scripts: every method says what it means") {
    const auto script = [](BootMethod method) {
        const Client client = desk(method);
        return ipxe_script(&client, server);
    };
    CHECK(script(BootMethod::sanboot)
              .contains("set initiator-iqn iqn.2026-11.lan.lab.initiator:desk-01\n"
                        "sanboot iscsi:192.168.77.1::3260:0:iqn.2026-11.lan.lab:desk-01 || goto failed\n"));
    const std::string kernel = script(BootMethod::kernel);
    CHECK(
        kernel.contains("kernel http://192.168.77.1:8080/boot/vmlinuz initrd=initrd.img root=LABEL=root ro ip=dhcp "
                        "iscsi_initiator=iqn.2026-11.lan.lab.initiator:desk-01 iscsi_target_name=iqn.2026-11.lan.lab:desk-01 "
                        "iscsi_target_ip=192.168.77.1 iscsi_target_port=3260 iscsi_target_group=1 || goto failed\n"));
    CHECK(kernel.contains("initrd --name initrd.img http://192.168.77.1:8080/boot/initrd.img || goto failed\n"));
    CHECK(script(BootMethod::script).contains("chain --autofree http://192.168.77.1:8080/boot/mine.ipxe"));
    CHECK(script(BootMethod::local).contains("sanboot --no-describe --drive 0x80"));
    CHECK(script(BootMethod::menu).contains("item disk Boot from its network disk\n"));
    for (const BootMethod method : {BootMethod::sanboot, BootMethod::kernel, BootMethod::menu, BootMethod::script, BootMethod::local}) {
        CHECK(script(method).starts_with("#!ipxe\n:start\n"));
    }
}

TEST_CASE("menus: what is offered, what is asked for a password, and what is taken when nobody is there") {
    const std::vector<Tool> tools{{.name = "memtest", .title = "Memory test", .kernel = "memtest.bin"},
                                  {.name = "rescue", .title = "Rescue", .iso = "rescue.iso"}};
    Client client = desk(BootMethod::menu);
    client.menu = {.choice = "rescue", .timeout = std::chrono::seconds{5}, .tools = {"rescue", "gone"}};
    const std::string open = ipxe_script(&client, server, {.tools = tools});
    CHECK(open.contains("choose --timeout 5000 --default rescue choice || set choice local\n"));
    CHECK(open.contains(":rescue\nsanboot --no-describe --drive 0x81 http://192.168.77.1:8080/boot/rescue.iso || goto failed\n"));
    CHECK_FALSE(open.contains("memtest"));
    CHECK(open.contains(":shell\nshell\n"));
    client.menu.password = "open sesame";
    client.menu.timeout = {};
    const std::string guarded = ipxe_script(&client, server, {.tools = tools});
    CHECK_FALSE(guarded.contains("sesame"));
    CHECK_FALSE(guarded.contains("rescue.iso"));
    CHECK(guarded.contains("choose --default rescue choice"));
    CHECK(
        guarded.contains(":rescue\nlogin || goto start\nchain --autofree --replace "
                         "http://192.168.77.1:8080/boot.ipxe?mac=${netX/mac:hexhyp}&choice=rescue&password=${password:uristring} "));
    CHECK(guarded.contains(":disk\nset initiator-iqn"));
    BootServer no_http = server;
    no_http.http_port = 0;
    CHECK_FALSE(ipxe_script(&client, no_http, {.tools = tools}).contains("Rescue"));  // nobody could compare the password
}

TEST_CASE("a machine nobody declared may become a client of a group") {
    const std::vector<std::string> groups{"desks"};
    const std::string menu = ipxe_script(nullptr, server, {.enroll_groups = groups});
    CHECK(menu.contains("item enroll-desks Become a machine of desks\n"));
    CHECK(menu.contains(
        ":enroll-desks\nchain --autofree --replace http://192.168.77.1:8080/boot.ipxe?mac=${netX/mac:hexhyp}&choice=enroll&group=desks "));
    CHECK(menu.contains("--default local choice"));  // it does not become one by itself
    CHECK(
        ipxe_script(nullptr, server, {.enroll_groups = groups, .enroll_password = true}).contains(":enroll-desks\nlogin || goto start\n"));
}

TEST_CASE("a choice for one boot stands above the declared one, and the loader comes as far as the script") {
    Client client = desk(BootMethod::local);
    CHECK(plan_boot(&client, firmware(Stage::pxe_rom), server) == BootPlan{});
    choose_next_boot(client, "sanboot");
    CHECK(ipxe_script(&client, server).contains("\nsanboot iscsi:"));
    Client once_local = desk(BootMethod::sanboot);
    choose_next_boot(once_local, "local");
    CHECK(plan_boot(&once_local, firmware(Stage::pxe_rom), server).boot_file == "undionly.kpxe");
    CHECK(ipxe_script(&once_local, server).contains("sanboot --no-describe --drive 0x80"));
    const std::vector<Tool> tools{{.name = "memtest", .kernel = "memtest.bin", .cmdline = "at={http} of={client}"}};
    Client once_tool = desk(BootMethod::sanboot);
    choose_next_boot(once_tool, "memtest");
    CHECK(ipxe_script(&once_tool, server, {.tools = tools})
              .contains("kernel http://192.168.77.1:8080/boot/memtest.bin at=http://192.168.77.1:8080/boot of=desk-01 || goto failed\n"));
    CHECK(ipxe_script(&once_tool, server).contains("\nsanboot iscsi:"));  // a tool that is gone
}

TEST_CASE("ways to leave to the local disk, and no gateway where none is needed") {
    Client client = desk(BootMethod::local);
    client.local_exit = LocalExit::exit;
    CHECK(ipxe_script(&client, server).starts_with("#!ipxe\n:start\nexit\n"));
    client.local_exit = LocalExit::poweroff;
    CHECK(ipxe_script(&client, server).starts_with("#!ipxe\n:start\npoweroff || exit\n"));
    const Client disk = desk(BootMethod::sanboot);
    BootServer linked = server;
    linked.links = {*Ipv4Network::parse("192.168.77.0/24")};
    CHECK(ipxe_script(&disk, linked, {.address = Ipv4Address::parse("192.168.77.11")}).contains("\nset netX/gateway 0.0.0.0\nsanboot "));
    CHECK_FALSE(ipxe_script(&disk, linked, {.address = Ipv4Address::parse("10.0.0.11")}).contains("gateway"));
    CHECK_FALSE(ipxe_script(&disk, linked).contains("gateway"));
}

TEST_CASE("a disk that wants a secret: the script brings it, and says so where it must not") {
    const ChapAccount one_way{"desk-user", "a-desk's-secret", "", ""};
    const ChapAccount mutual{"desk-user", "a-desk's-secret", "server", "the-server's-one"};
    for (const BootMethod method : {BootMethod::sanboot, BootMethod::kernel, BootMethod::menu}) {
        Client client = desk(method);
        client.chap = {"desk-user"};
        const std::string script = ipxe_script(&client, server, {.account = &one_way});
        CHECK(script.contains(
            "set initiator-iqn iqn.2026-11.lan.lab.initiator:desk-01\nset username desk-user\nset password a-desk's-secret\n"));
        CHECK_FALSE(script.contains("reverse"));
        CHECK(ipxe_script(&client, server, {.account = &mutual})
                  .contains("\nset reverse-username server\nset reverse-password the-server's-one\n"));
        const std::string without = ipxe_script(&client, server);
        CHECK_FALSE(without.contains("set username"));
        CHECK(without.contains("echo diskless: the disk wants a secret"));
    }
    Client client = desk(BootMethod::kernel);
    client.kernel.cmdline = "{iscsi}";
    CHECK(expand_cmdline(client, server, &mutual)
              .ends_with(" iscsi_username=desk-user iscsi_password=a-desk's-secret iscsi_in_username=server "
                         "iscsi_in_password=the-server's-one"));
    client.kernel.cmdline = "{dracut}";
    CHECK(expand_cmdline(client, server, &mutual)
              .ends_with(" rd.iscsi.username=desk-user rd.iscsi.password=a-desk's-secret rd.iscsi.in.username=server "
                         "rd.iscsi.in.password=the-server's-one"));
    CHECK_FALSE(expand_cmdline(client, server).contains("username"));
}

TEST_CASE("the command line's words are replaced once each, unknown ones stay") {
    Client client = desk(BootMethod::kernel);
    client.kernel.cmdline = "a={client} {unknown} {address} {iscsi";
    CHECK(expand_cmdline(client, server) == "a=desk-01 {unknown} 192.168.77.11 {iscsi");
}
