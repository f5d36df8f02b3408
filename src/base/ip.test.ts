import assert from "node:assert/strict";
import { test } from "node:test";
import {
  type Cidr,
  cidrNetwork,
  cidrsOverlap,
  eui64,
  type Ip,
  ipPlus,
  isGlobalUnicast,
  netmaskOf,
  parseCidr,
  parseIp,
} from "./ip.ts";
import { macToBytes, parseMac } from "./mac.ts";
import { secondaryPodInterface, wiringNames } from "./names.ts";

test("addresses are parsed strictly and printed canonically", () => {
  assert.equal(parseIp("10.0.2.2"), "10.0.2.2");
  assert.equal(parseIp("FD10:0:2:0::2"), "fd10:0:2::2");
  for (const bad of ["10.0.2", "010.0.2.2", "0x0a.0.2.2", "10.0.2.256", "fe80::1%eth0", "", "1"]) {
    assert.equal(parseIp(bad), undefined, bad);
  }
  assert.equal(parseCidr("10.0.2.0/33"), undefined);
  assert.equal(parseCidr("fd10::/126"), "fd10::/126");
});

test("masquerade's example networks give KubeVirt's gateway and guest", () => {
  const cases = [
    ["10.0.2.0/24", "10.0.2.1", "10.0.2.2"],
    ["10.0.2.77/24", "10.0.2.1", "10.0.2.2"],
    ["192.168.100.16/28", "192.168.100.17", "192.168.100.18"],
    ["fd10::/126", "fd10::1", "fd10::2"],
  ] as const;
  for (const [cidr, gateway, guest] of cases) {
    const network = cidrNetwork(cidr as Cidr);
    assert.deepEqual([ipPlus(network, 1), ipPlus(network, 2)], [gateway, guest]);
  }
  assert.equal(ipPlus("10.0.2.255" as Ip, 1), "10.0.3.0");
});

test("global unicast follows Go", () => {
  const yes = ["10.0.0.1", "100.64.0.1", "8.8.8.8", "fd00::1", "2001:db8::1"];
  const no = [
    "127.0.0.1",
    "169.254.1.1",
    "224.0.0.1",
    "255.255.255.255",
    "0.0.0.0",
    "::1",
    "fe80::1",
    "ff02::1",
    "::",
  ];
  for (const ip of yes) assert.ok(isGlobalUnicast(ip as Ip), ip);
  for (const ip of no) assert.ok(!isGlobalUnicast(ip as Ip), ip);
});

test("netmask, overlap, EUI-64", () => {
  assert.equal(netmaskOf(30), "255.255.255.252");
  assert.ok(cidrsOverlap("10.0.0.0/8" as Cidr, "10.0.2.0/24" as Cidr));
  assert.ok(!cidrsOverlap("10.0.3.0/24" as Cidr, "10.0.2.0/24" as Cidr));
  assert.equal(eui64("fe80::" as Ip, macToBytes(parseMac("52-54-00-12-34-56")!)), "fe80::5054:ff:fe12:3456");
});

test("names are KubeVirt's", () => {
  assert.equal(secondaryPodInterface("blue"), "pod16477688c0e");
  assert.equal(secondaryPodInterface("red"), "podb1f51a511f1");
  assert.deepEqual(wiringNames("pod16477688c0e", false), {
    podInterface: "pod16477688c0e",
    bridge: "k6t-16477688c0e",
    tap: "tap16477688c0e",
    renamedNic: "16477688c0e-nic",
  });
  assert.equal(wiringNames("eth0", true).bridge, "k6t-eth0");
});
