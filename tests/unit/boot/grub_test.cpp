// What GRUB behind shim and PXELINUX are told.
#include "boot/grub.hpp"

#include <doctest/doctest.h>

using namespace diskless;
using namespace diskless::boot;

namespace {

const BootServer server{.address = Ipv4Address::parse("192.168.77.1").value(), .target_prefix = "iqn.2026-11.lan.lab"};

Client client(BootMethod method = BootMethod::kernel) {
    return {.name = "desk-01",
            .boot = method,
            .kernel = {.kernel = "/debian/vmlinuz", .initrd = "debian/initrd.img", .cmdline = "root=LABEL=root ro {client}"}};
}

}  // namespace

TEST_CASE("GRUB: kernel, command line and initrd by TFTP") {
    const Client desk = client();
    CHECK(grub_config(&desk, server) ==
          "echo diskless: loading Linux for desk-01\n"
          "linux (tftp,192.168.77.1)/debian/vmlinuz root=LABEL=root ro desk-01\n"
          "initrd (tftp,192.168.77.1)/debian/initrd.img\n"
          "boot\n");
    Client bare = client();
    bare.kernel.initrd.clear();
    CHECK_FALSE(grub_config(&bare, server).contains("initrd"));
}

TEST_CASE("GRUB: no character of a command line means anything to its script language") {
    CHECK(grub_quoted("a=1 b,c/d:e") == "a=1 b,c/d:e");
    CHECK(grub_quoted("x;reboot $y \"{}'\\\n") == "x\\;reboot \\$y \\\"\\{\\}\\'\\\\\\\n");
}

TEST_CASE("GRUB and PXELINUX: who cannot boot by them is told why, and leaves") {
    Client desk = client();
    desk.kernel.cmdline.clear();
    CHECK(grub_config(&desk, server).contains("desk-01 has no kernel to boot"));
    CHECK(grub_config(&desk, server).ends_with("exit\n"));
    CHECK(grub_config(nullptr, server).contains("nobody declared this machine"));
    Client secret = client();
    secret.chap = {"desk-01"};
    CHECK(grub_config(&secret, server).contains("wants a secret"));
    CHECK_FALSE(grub_config(&secret, server).contains("linux ("));
    const Client local = client(BootMethod::local);
    CHECK(grub_config(&local, server) == "exit\n");
    CHECK(pxelinux_config(&local, server) == "DEFAULT local\nLABEL local\n  LOCALBOOT -1\n");
    CHECK(pxelinux_config(nullptr, server) == "SAY diskless: nobody declared this machine\nDEFAULT none\n");
}

TEST_CASE("PXELINUX: the same as words of its own") {
    const Client desk = client();
    CHECK(pxelinux_config(&desk, server) ==
          "DEFAULT linux\nLABEL linux\n  KERNEL ::/debian/vmlinuz\n  INITRD ::/debian/initrd.img\n  APPEND root=LABEL=root ro desk-01\n");
}
