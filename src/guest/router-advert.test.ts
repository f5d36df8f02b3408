import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { capture } from "../../test/support/captures.ts";
import { GUEST_MAC, routerAdvertConfig } from "../../test/support/guest-configs.ts";
import { type Cidr, type Ip, ipFromBytes, ipToBytes } from "../base/ip.ts";
import { macFromBytes, macToBytes } from "../base/mac.ts";
import { decodeDnsNames } from "../wire/dns-names.ts";
import { checkIcmp6, decodeRouterAdvert, encodeIcmp6Frame, type RouterAdvert } from "../wire/icmpv6.ts";
import { ALL_ROUTERS, decodeIpv6 } from "../wire/ipv6.ts";
import type { RouterAdvertConfig } from "./config.ts";
import { routerAdvertResponder } from "./router-advert.ts";

const UNSPECIFIED = "::" as Ip;

function solicitation(source: Ip, options: readonly number[] = []): Uint8Array {
  const ends = {
    sourceMac: macToBytes(GUEST_MAC),
    destinationMac: Uint8Array.of(0x33, 0x33, 0, 0, 0, 2),
    source: ipToBytes(source),
    destination: ALL_ROUTERS,
  };
  return encodeIcmp6Frame(ends, Uint8Array.from([133, 0, 0, 0, 0, 0, 0, 0, ...options]));
}

function responder(config: Partial<RouterAdvertConfig> = {}) {
  return routerAdvertResponder(routerAdvertConfig(config));
}

function read(frame: Uint8Array | undefined): { readonly to: string; readonly advert: RouterAdvert } {
  assert.ok(frame !== undefined, "there is no advertisement");
  const ip = decodeIpv6(frame.subarray(14));
  assert.ok(typeof ip === "object");
  assert.equal(ip.hopLimit, 255);
  assert.equal(ipFromBytes(ip.source), "fe80::1");
  assert.equal(checkIcmp6(frame.subarray(14), ip.payload), undefined);
  const advert = decodeRouterAdvert(ip.payload);
  assert.ok(typeof advert === "object");
  return { to: `${macFromBytes(frame)} ${ipFromBytes(ip.destination)}`, advert };
}

test("the kernel's solicitation gets everything a guest needs, to its own address", () => {
  const prefixes = [
    { prefix: "fd10:0:2::1/120" as Cidr, onLink: true, autonomous: false },
    { prefix: "fd10:0:3::/64" as Cidr, onLink: false, autonomous: true },
  ];
  const { to, advert } = read(responder({ prefixes }).answer(capture("kernel-router-solicit"), 0)?.frames[0]);
  assert.equal(to, `${GUEST_MAC} fe80::b04d:8eff:fe30:8877`);
  assert.deepEqual(
    [advert.managed, advert.otherConfig, advert.routerLifetimeSeconds, advert.mtu],
    [true, true, 9000, 1450],
  );
  assert.equal(macFromBytes(advert.sourceMac!), "02:00:00:00:00:00");
  assert.deepEqual(
    advert.prefixes.map((p) => [ipFromBytes(p.prefix), p.length, p.onLink, p.autonomous]),
    [
      ["fd10:0:2::", 120, true, false],
      ["fd10:0:3::", 64, false, true],
    ],
  );
  assert.deepEqual(advert.nameservers.map(ipFromBytes), ["fd10:0:2::3"]);
  assert.deepEqual(
    advert.searchDomains.flatMap((name) => decodeDnsNames(name)),
    ["default.svc.cluster.local", "cluster.local"],
  );
  assert.equal(advert.dnsSeconds, 9000);
});

test("a guest without an address is answered through all nodes, every 3 seconds at most", () => {
  const router = responder();
  assert.equal(
    read(router.answer(solicitation(UNSPECIFIED), 10_000)?.frames[0]).to,
    "33:33:00:00:00:01 ff02::1",
  );
  assert.deepEqual(router.answer(solicitation(UNSPECIFIED), 11_000), {
    frames: [],
    refusal: "no-answer-due",
  });
  assert.deepEqual(router.tick?.(12_999), { frames: [], nextMs: 13_000 });
  assert.equal(router.tick?.(13_000).frames.length, 1, "and not forgotten");
  assert.equal(
    router.answer(solicitation("fe80::2" as Ip), 13_001)?.frames.length,
    1,
    "unicast is never held back",
  );
});

test("unsolicited advertisements: at once, twice more within 16 seconds, then each interval", () => {
  const router = responder({ intervalSeconds: 600 });
  const sentAt: number[] = [];
  for (let now = 0; now <= 1_300_000; now += 1000) {
    const tick = router.tick?.(now);
    assert.ok(tick !== undefined && tick.nextMs > now);
    if (tick.frames.length > 0) sentAt.push(now);
  }
  assert.deepEqual(sentAt, [0, 16_000, 32_000, 632_000, 1_232_000]);
});

test("what is no valid solicitation is refused with its reason, or is nobody's", () => {
  const router = responder();
  const refusal = (frame: Uint8Array) => router.answer(frame, 0)?.refusal;
  const hop = capture("kernel-router-solicit");
  hop[21] = 64;
  assert.equal(refusal(hop), "bad-header");
  const sum = capture("kernel-router-solicit");
  sum[57] = (sum[57] ?? 0) ^ 1;
  assert.equal(refusal(sum), "bad-checksum");
  assert.equal(refusal(solicitation(UNSPECIFIED, [1, 1, 2, 3, 4, 5, 6, 7])), "forbidden-option");
  assert.equal(refusal(solicitation("fe80::2" as Ip, [1, 0, 0, 0, 0, 0, 0, 0])), "bad-length");
  assert.equal(refusal(solicitation("fe80::2" as Ip, [1, 9, 0, 0, 0, 0, 0, 0])), "truncated");
  assert.equal(router.answer(capture("dhclient6-solicit"), 0), undefined);
  assert.equal(router.answer(capture("udhcpc-discover"), 0), undefined);
});

test("long lists are cut so that the advertisement fits the least MTU, and that is told", () => {
  const router = responder({
    nameservers: Array.from({ length: 50 }, () => "fd00::53" as Ip),
    searchDomains: Array.from({ length: 50 }, (_, i) => `team-${i}.department.example.com`),
  });
  const frame = router.tick?.(0).frames[0];
  assert.ok(frame !== undefined && frame.length <= 14 + 1280);
  assert.ok(read(frame).advert.nameservers.length > 3);
  assert.ok(read(frame).advert.searchDomains.length > 3);
  assert.match(router.notes.join(), /do not fit/);
});

test("IPv4 nameservers and bad search domains are not advertised", () => {
  const router = responder({ nameservers: ["10.0.0.1" as Ip], searchDomains: ["1.2.3.4"] });
  const { advert } = read(router.tick?.(0).frames[0]);
  assert.deepEqual([advert.nameservers, advert.searchDomains], [[], []]);
});

test("no frame makes the router throw or answer anybody else", () => {
  const router = responder();
  const damaged = fc
    .array(fc.tuple(fc.nat(69), fc.integer({ min: 0, max: 255 })), { maxLength: 5 })
    .map((changes) => {
      const frame = capture("kernel-router-solicit");
      for (const [at, value] of changes) frame[at] = value;
      return frame;
    });
  fc.assert(
    fc.property(fc.oneof(damaged, fc.uint8Array({ maxLength: 200 })), fc.nat(), (frame, now) => {
      for (const out of router.answer(frame, now)?.frames ?? []) {
        const to = macFromBytes(out);
        assert.ok(to === macFromBytes(frame.subarray(6, 12)) || to === "33:33:00:00:00:01");
      }
    }),
    { numRuns: 2000 },
  );
});
