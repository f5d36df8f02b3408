import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { CAPTURES, capture } from "../../test/support/captures.ts";
import type { Ip } from "../base/ip.ts";
import { checksumOf, isChecksumRight, pseudoHeaderSum4, pseudoHeaderSum6, sumWords } from "./checksum.ts";
import { decodeEthernet, ETHERTYPE_IPV4, ETHERTYPE_IPV6, etherTypeOf, multicastMac6 } from "./ethernet.ts";
import { decodeIpv4, ip4FromNumber, ip4ToNumber, PROTOCOL_UDP } from "./ipv4.ts";
import { ALL_DHCP, ALL_NODES, decodeIpv6, isUnspecified, NEXT_HEADER_UDP } from "./ipv6.ts";
import { decodeUdp, encodeUdp4Frame, encodeUdp6Frame } from "./udp.ts";

const mac = fc.uint8Array({ minLength: 6, maxLength: 6 }).map((bytes) => {
  bytes[0] = (bytes[0] ?? 0) & 0xfe;
  return bytes;
});
const port = fc.integer({ min: 0, max: 0xffff });
const ip4 = fc.integer({ min: 0, max: 0xffffffff });
const ip6 = fc.uint8Array({ minLength: 16, maxLength: 16 }).map((bytes) => {
  bytes[0] = (bytes[0] ?? 0) & 0x7f;
  return bytes;
});
const payload = fc.uint8Array({ maxLength: 600 });
const ends = { sourceMac: mac, destinationMac: mac, sourcePort: port, destinationPort: port };

test("a UDP frame over IPv4 reads back, and its checksums are complete", () => {
  fc.assert(
    fc.property(fc.record({ ...ends, source: ip4, destination: ip4 }), payload, (envelope, bytes) => {
      const frame = encodeUdp4Frame(envelope, bytes);
      const ethernet = decodeEthernet(frame);
      assert.ok(typeof ethernet !== "string");
      assert.deepEqual(ethernet.source, envelope.sourceMac);
      assert.ok(isChecksumRight(frame, 14, 34));
      const ip = decodeIpv4(ethernet.payload);
      assert.ok(typeof ip !== "string");
      assert.deepEqual([ip.source, ip.destination], [envelope.source, envelope.destination]);
      const pseudo = pseudoHeaderSum4(ip.source, ip.destination, PROTOCOL_UDP, ip.payload.length);
      assert.ok(isChecksumRight(ip.payload, 0, ip.payload.length, pseudo));
      assert.deepEqual(decodeUdp(ip.payload), {
        sourcePort: envelope.sourcePort,
        destinationPort: envelope.destinationPort,
        payload: bytes,
      });
    }),
  );
});

test("a UDP frame over IPv6 reads back, and its checksum is complete", () => {
  fc.assert(
    fc.property(fc.record({ ...ends, source: ip6, destination: ip6 }), payload, (envelope, bytes) => {
      const frame = encodeUdp6Frame(envelope, bytes);
      const ip = decodeIpv6(frame.subarray(14));
      assert.ok(typeof ip !== "string");
      assert.deepEqual([ip.source, ip.destination], [envelope.source, envelope.destination]);
      const pseudo = pseudoHeaderSum6(frame, 14, NEXT_HEADER_UDP, ip.payload.length);
      assert.ok(isChecksumRight(ip.payload, 0, ip.payload.length, pseudo));
      const udp = decodeUdp(ip.payload);
      assert.ok(typeof udp !== "string");
      assert.deepEqual(udp.payload, bytes);
    }),
  );
});

test("checksums agree with those that clients and the kernel computed", () => {
  for (const name of ["udhcpc-discover", "dhclient-discover", "dhcpcd-discover"]) {
    const frame = capture(name);
    assert.ok(isChecksumRight(frame, 14, 34), `${name}: header`);
    const pseudo = pseudoHeaderSum4(0, 0xffffffff, PROTOCOL_UDP, frame.length - 34);
    assert.ok(isChecksumRight(frame, 34, frame.length, pseudo), `${name}: UDP`);
  }
  // RFC 1071, part 3.
  assert.equal(
    checksumOf(sumWords(Uint8Array.of(0, 1, 0xf2, 3, 0xf4, 0xf5, 0xf6, 0xf7), 0, 8)),
    ~0xddf2 & 0xffff,
  );
});

test("a UDP checksum of zero is sent as ffff", () => {
  const source = { sourceMac: new Uint8Array(6), destinationMac: new Uint8Array(6), sourcePort: 0 };
  // Ports and addresses that make the sum of everything 0xffff.
  const frame = encodeUdp4Frame(
    { ...source, source: 0, destination: 0, destinationPort: 0xffff - 17 - 16 },
    new Uint8Array(),
  );
  assert.deepEqual([frame[40], frame[41]], [0xff, 0xff]);
});

test("a guest's half-done checksum is no obstacle", () => {
  const ethernet = decodeEthernet(capture("dhclient-release"));
  assert.ok(typeof ethernet !== "string");
  const ip = decodeIpv4(ethernet.payload);
  assert.ok(typeof ip !== "string");
  const pseudo = pseudoHeaderSum4(ip.source, ip.destination, PROTOCOL_UDP, ip.payload.length);
  assert.ok(!isChecksumRight(ip.payload, 0, ip.payload.length, pseudo), "the capture has lost its point");
  assert.ok(typeof decodeUdp(ip.payload) !== "string");
});

test("every capture is a frame, and cut anywhere it is refused, not read beyond its end", () => {
  for (const [name, frame] of CAPTURES) {
    const decode = etherTypeOf(frame) === ETHERTYPE_IPV4 ? decodeIpv4 : decodeIpv6;
    assert.ok([ETHERTYPE_IPV4, ETHERTYPE_IPV6].includes(etherTypeOf(frame)), name);
    assert.ok(typeof decode(frame.subarray(14)) !== "string", name);
    for (let end = 14; end < frame.length; end++) {
      assert.equal(decode(frame.subarray(14, end)), "truncated", `${name} cut at ${end}`);
    }
  }
});

test("headers that lie are refused by name", () => {
  const ipv4 = (change: (packet: Uint8Array) => void) => {
    const packet = capture("udhcpc-discover").subarray(14);
    change(packet);
    return decodeIpv4(packet);
  };
  assert.equal(
    ipv4((p) => p.set([0x65], 0)),
    "bad-header",
  );
  assert.equal(
    ipv4((p) => p.set([0x44], 0)),
    "bad-length",
  );
  assert.equal(
    ipv4((p) => p.set([0, 19], 2)),
    "bad-length",
  );
  assert.equal(
    ipv4((p) => p.set([0xff, 0xff], 2)),
    "truncated",
  );
  assert.equal(
    ipv4((p) => p.set([0x20, 0], 6)),
    "fragment",
  );
  assert.equal(
    ipv4((p) => p.set([0, 1], 6)),
    "fragment",
  );
  const udp = (change: (segment: Uint8Array) => void) => {
    const segment = capture("udhcpc-discover").subarray(34);
    change(segment);
    return decodeUdp(segment);
  };
  assert.equal(
    udp((s) => s.set([0, 7], 4)),
    "bad-length",
  );
  assert.equal(
    udp((s) => s.set([0xff, 0xff], 4)),
    "truncated",
  );
  assert.equal(decodeUdp(new Uint8Array(7)), "truncated");
  const multicastSource = capture("dhclient6-solicit");
  multicastSource[14 + 8] = 0xff;
  assert.equal(decodeIpv6(multicastSource.subarray(14)), "bad-header");
  const groupMac = capture("udhcpc-discover");
  groupMac[6] = 0xff;
  assert.equal(decodeEthernet(groupMac), "bad-header");
});

test("random bytes are decoded or refused, never thrown at", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      for (const decode of [decodeEthernet, decodeIpv4, decodeIpv6, decodeUdp]) decode(bytes);
    }),
  );
});

test("groups have the addresses of their RFCs", () => {
  assert.deepEqual(multicastMac6(ALL_NODES), Uint8Array.of(0x33, 0x33, 0, 0, 0, 1));
  assert.deepEqual(multicastMac6(ALL_DHCP), Uint8Array.of(0x33, 0x33, 0, 1, 0, 2));
  assert.ok(isUnspecified(new Uint8Array(16)));
  assert.ok(!isUnspecified(ALL_NODES));
  assert.equal(ip4ToNumber("10.0.2.2" as Ip), 0x0a000202);
  assert.equal(ip4FromNumber(0xc0a80105), "192.168.1.5");
});
