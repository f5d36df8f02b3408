import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { CAPTURES, capture } from "../../test/support/captures.ts";
import { dhcp6Config, GUEST_MAC, LEASE_SECONDS } from "../../test/support/guest-configs.ts";
import { type Ip, ipFromBytes, ipToBytes } from "../base/ip.ts";
import { macFromBytes, macToBytes } from "../base/mac.ts";
import { u32Bytes } from "../wire/bytes.ts";
import { isChecksumRight, pseudoHeaderSum6 } from "../wire/checksum.ts";
import * as wire from "../wire/dhcp6.ts";
import { decodeDnsNames } from "../wire/dns-names.ts";
import { ALL_DHCP, decodeIpv6 } from "../wire/ipv6.ts";
import { decodeUdp, encodeUdp6Frame } from "../wire/udp.ts";
import type { Dhcp6Config } from "./config.ts";
import { dhcp6Responder } from "./dhcp6.ts";
import type { Answer } from "./responder.ts";

const NOW = 1_000_000;
const OURS = "fd10:0:2::2" as Ip;
const FOREIGN = "2001:db8::9" as Ip;
const GUEST_LINK_LOCAL = "fe80::5054:ff:fe12:3456" as Ip;
const CLIENT = { code: wire.OPT_CLIENT_ID, value: Uint8Array.of(0, 3, 0, 1, 1, 2, 3, 4, 5, 6) };
const SERVER = { code: wire.OPT_SERVER_ID, value: Uint8Array.of(0, 3, 0, 1, 2, 0, 0, 0, 0, 0) };
const OTHER_SERVER = { code: wire.OPT_SERVER_ID, value: Uint8Array.of(0, 3, 0, 1, 2, 0, 0, 0, 0, 9) };

function address(ip: Ip): wire.Dhcp6Option {
  const value = { address: ipToBytes(ip), preferredSeconds: 100, validSeconds: 100, options: [] };
  return { code: wire.OPT_IA_ADDRESS, value: wire.encodeIaAddress(value) };
}

function ia(iaid: number, ...addresses: readonly Ip[]): wire.Dhcp6Option {
  const value = wire.encodeIa({ iaid, t1: 0, t2: 0, options: addresses.map(address) });
  return { code: wire.OPT_IA_NA, value };
}

function ask(
  type: number,
  options: readonly wire.Dhcp6Option[],
  ends: { source?: Ip; destination?: Uint8Array } = {},
): Uint8Array {
  return encodeUdp6Frame(
    {
      sourceMac: macToBytes(GUEST_MAC),
      destinationMac: Uint8Array.of(0x33, 0x33, 0, 1, 0, 2),
      source: ipToBytes(ends.source ?? GUEST_LINK_LOCAL),
      destination: ends.destination ?? ALL_DHCP,
      sourcePort: 546,
      destinationPort: 547,
    },
    wire.encodeDhcp6({ type, transactionId: 0xabcdef, options }),
  );
}

function answer(frame: Uint8Array, config: Partial<Dhcp6Config> = {}): Answer | undefined {
  return dhcp6Responder(dhcp6Config(config)).answer(frame, NOW);
}

interface Reply {
  readonly type: number;
  readonly options: readonly wire.Dhcp6Option[];
  /** `<kind>/<iaid>: <address>*<seconds>` or `status <n>`. */
  readonly associations: readonly string[];
  readonly status: number | undefined;
}

function read(result: Answer | undefined): Reply {
  assert.ok(result !== undefined);
  assert.equal(result.refusal, undefined);
  const frame = result.frames[0]!;
  assert.equal(macFromBytes(frame), GUEST_MAC);
  assert.equal(macFromBytes(frame.subarray(6)), "02:00:00:00:00:00");
  const ip = decodeIpv6(frame.subarray(14));
  assert.ok(typeof ip === "object");
  assert.equal(ipFromBytes(ip.source), "fe80::1");
  assert.ok(
    isChecksumRight(ip.payload, 0, ip.payload.length, pseudoHeaderSum6(frame, 14, 17, ip.payload.length)),
  );
  const udp = decodeUdp(ip.payload);
  assert.ok(typeof udp === "object");
  assert.deepEqual([udp.sourcePort, udp.destinationPort], [547, 546]);
  const message = wire.decodeDhcp6(udp.payload);
  assert.ok(typeof message === "object");
  assert.deepEqual(wire.findOption6(message.options, wire.OPT_SERVER_ID), SERVER.value);
  const status = wire.findOption6(message.options, wire.OPT_STATUS);
  return {
    type: message.type,
    options: message.options,
    associations: message.options.flatMap((option) => associationText(option)),
    status: status && statusOf(status),
  };
}

function associationText({ code, value }: wire.Dhcp6Option): readonly string[] {
  const isTa = code === wire.OPT_IA_TA;
  if (code !== wire.OPT_IA_NA && code !== wire.OPT_IA_PD && !isTa) return [];
  const iaid = new DataView(value.buffer, value.byteOffset).getUint32(0);
  const options = wire.decodeOptions6(value, isTa ? 4 : 12);
  assert.ok(typeof options === "object");
  const inside = options.map((option) => {
    if (option.code === wire.OPT_STATUS) return `status ${statusOf(option.value)}`;
    const given = wire.decodeIaAddress(option.value);
    assert.ok(typeof given === "object");
    assert.equal(given.preferredSeconds, given.validSeconds);
    return `${ipFromBytes(given.address)}*${given.validSeconds}`;
  });
  return [`${code}/${iaid}: ${inside.join(" ")}`];
}

function statusOf(value: Uint8Array): number {
  const status = wire.decodeStatus(value);
  assert.ok(typeof status === "object");
  return status.code;
}

const GIVEN = `${OURS}*${LEASE_SECONDS}`;

test("a SOLICIT gets an ADVERTISE that the client need not compare, with DNS and search list", () => {
  const reply = read(answer(capture("dhclient6-solicit")));
  assert.equal(reply.type, wire.ADVERTISE);
  assert.deepEqual(reply.associations, [`3/${0x00123456}: ${GIVEN}`]);
  assert.deepEqual(wire.findOption6(reply.options, wire.OPT_PREFERENCE), Uint8Array.of(255));
  assert.deepEqual(wire.findOption6(reply.options, wire.OPT_DNS_SERVERS), ipToBytes("fd10:0:2::3" as Ip));
  assert.deepEqual(
    decodeDnsNames(wire.findOption6(reply.options, wire.OPT_DOMAIN_LIST)!),
    dhcp6Config().searchDomains,
  );
  assert.equal(answer(capture("dhclient6-solicit"))?.fact, undefined);
});

test("rapid commit makes it a REPLY and a lease", () => {
  const result = answer(capture("dhcpcd6-solicit"));
  const reply = read(result);
  assert.equal(reply.type, wire.REPLY);
  assert.ok(wire.findOption6(reply.options, wire.OPT_RAPID_COMMIT));
  assert.deepEqual(result?.fact, {
    kind: "lease",
    via: "dhcp6",
    mac: GUEST_MAC,
    ip: OURS,
    untilMs: NOW + LEASE_SECONDS * 1000,
  });
});

test("the captured dialogue of dhclient -6 goes on as it did", () => {
  const request = answer(capture("dhclient6-request"), {});
  assert.equal(read(request).type, wire.REPLY);
  assert.equal(request?.fact?.kind, "lease");
  const confirm = answer(capture("dhclient6-confirm"));
  assert.equal(read(confirm).status, wire.STATUS_SUCCESS);
  assert.equal(confirm?.fact?.kind, "lease", "a guest that confirms is using the address");
  const release = answer(capture("dhclient6-release"));
  assert.equal(read(release).status, wire.STATUS_SUCCESS);
  assert.equal(release?.fact?.kind, "released");
  const information = read(answer(capture("dhclient6-information-request")));
  assert.deepEqual(information.associations, []);
  assert.ok(wire.findOption6(information.options, wire.OPT_DNS_SERVERS));
});

test("the client identifier comes back as it was", () => {
  const reply = read(answer(ask(wire.SOLICIT, [CLIENT, ia(1)])));
  assert.deepEqual(reply.options[0], CLIENT);
});

test("one association gets the address, the others hear why not", () => {
  const prefix = { code: wire.OPT_IA_PD, value: wire.encodeIa({ iaid: 7, t1: 0, t2: 0, options: [] }) };
  const temporary = { code: wire.OPT_IA_TA, value: u32Bytes(8) };
  const reply = read(answer(ask(wire.SOLICIT, [CLIENT, prefix, ia(1), ia(2), temporary])));
  assert.deepEqual(reply.associations, ["25/7: status 6", `3/1: ${GIVEN}`, "3/2: status 2", "4/8: status 2"]);
  const chosen = read(answer(ask(wire.RENEW, [CLIENT, SERVER, ia(1), ia(2, OURS), prefix])));
  assert.deepEqual(chosen.associations, ["3/1: status 3", `3/2: ${GIVEN}`, "25/7: status 3"]);
});

test("a REQUEST for another address is given ours, and RENEW and REBIND end the other one", () => {
  const request = answer(ask(wire.REQUEST6, [CLIENT, SERVER, ia(1, FOREIGN)]));
  assert.deepEqual(read(request).associations, [`3/1: ${GIVEN}`]);
  const renew = answer(ask(wire.RENEW, [CLIENT, SERVER, ia(1, FOREIGN)]));
  assert.deepEqual(read(renew).associations, [`3/1: ${GIVEN} ${FOREIGN}*0`]);
  const rebind = answer(ask(wire.REBIND, [CLIENT, ia(1, OURS)]));
  assert.deepEqual(read(rebind).associations, [`3/1: ${GIVEN}`]);
  assert.equal(rebind?.fact?.kind, "lease");
});

test("CONFIRM of another address is not on link, of none is not answered", () => {
  const elsewhere = answer(ask(wire.CONFIRM, [CLIENT, ia(1, OURS, FOREIGN)]));
  assert.equal(read(elsewhere).status, wire.STATUS_NOT_ON_LINK);
  assert.equal(elsewhere?.fact, undefined);
  assert.equal(answer(ask(wire.CONFIRM, [CLIENT, ia(1)]))?.refusal, "missing-option");
});

test("RELEASE and DECLINE of what is not ours have no binding", () => {
  const release = answer(ask(wire.RELEASE6, [CLIENT, SERVER, ia(1, FOREIGN)]));
  assert.deepEqual([read(release).status, read(release).associations], [0, ["3/1: status 3"]]);
  assert.equal(release?.fact, undefined);
  const decline = answer(ask(wire.DECLINE6, [CLIENT, SERVER, ia(1, OURS)]));
  assert.deepEqual([read(decline).associations, decline?.fact?.kind], [[], "declined"]);
});

test("identifiers that must or must not be there decide: RFC 8415, 16", () => {
  const refusal = (type: number, ...options: readonly wire.Dhcp6Option[]) =>
    answer(ask(type, options))?.refusal;
  for (const type of [wire.SOLICIT, wire.CONFIRM, wire.REBIND]) {
    assert.equal(refusal(type, ia(1, OURS)), "missing-option", `${type} without client`);
    assert.equal(refusal(type, CLIENT, SERVER, ia(1, OURS)), "forbidden-option", `${type} with server`);
  }
  for (const type of [wire.REQUEST6, wire.RENEW, wire.RELEASE6, wire.DECLINE6]) {
    assert.equal(refusal(type, CLIENT, ia(1, OURS)), "missing-option", `${type} without server`);
    assert.equal(refusal(type, CLIENT, OTHER_SERVER, ia(1, OURS)), "other-server", `${type} to another`);
  }
  assert.equal(refusal(wire.INFORMATION_REQUEST), undefined);
  assert.equal(refusal(wire.INFORMATION_REQUEST, OTHER_SERVER), "other-server");
  assert.equal(refusal(wire.INFORMATION_REQUEST, ia(1)), "forbidden-option");
  assert.equal(
    refusal(wire.SOLICIT, { code: wire.OPT_CLIENT_ID, value: new Uint8Array(131) }, ia(1)),
    "bad-length",
  );
  assert.equal(refusal(wire.ADVERTISE, CLIENT), "not-a-request");
  assert.equal(refusal(wire.RECONFIGURE, CLIENT), "not-a-request");
  assert.equal(refusal(wire.RELAY_FORW), "other-protocol");
});

test("only multicast from a link-local address is answered", () => {
  const options = [CLIENT, ia(1)];
  const unicast = ask(wire.SOLICIT, options, { destination: ipToBytes("2001:db8::547" as Ip) });
  assert.equal(answer(unicast)?.refusal, "other-destination");
  assert.equal(answer(ask(wire.SOLICIT, options, { source: FOREIGN }))?.refusal, "bad-header");
  assert.equal(answer(capture("udhcpc-discover")), undefined);
  assert.equal(answer(capture("kernel-router-solicit")), undefined);
});

test("broken associations are refused", () => {
  const short = { code: wire.OPT_IA_NA, value: new Uint8Array(11) };
  assert.equal(answer(ask(wire.SOLICIT, [CLIENT, short]))?.refusal, "truncated");
  const value = wire.encodeIa({ iaid: 1, t1: 0, t2: 0, options: [{ code: 5, value: new Uint8Array(3) }] });
  assert.equal(answer(ask(wire.SOLICIT, [CLIENT, { code: 3, value }]))?.refusal, "truncated");
});

test("no answer is longer than the least MTU, however many associations and names there are", () => {
  const many = Array.from({ length: 30 }, (_, i) => ia(i, FOREIGN, FOREIGN));
  const longClient = { code: wire.OPT_CLIENT_ID, value: new Uint8Array(130) };
  const config = {
    nameservers: Array.from({ length: 40 }, () => "fd00::53" as Ip),
    searchDomains: Array.from({ length: 60 }, (_, i) => `team-${i}.department.example.com`),
  };
  const responder = dhcp6Responder(dhcp6Config(config));
  for (const frame of [
    ask(wire.RENEW, [longClient, SERVER, ...many]),
    ask(wire.SOLICIT, [longClient, ...many]),
    ask(wire.REBIND, [longClient, ia(0, ...Array.from({ length: 30 }, () => FOREIGN))]),
  ]) {
    const length = responder.answer(frame, NOW)?.frames[0]?.length ?? Number.NaN;
    assert.ok(length <= 14 + 1280, `${length} bytes`);
  }
  assert.match(responder.notes.join(), /do not fit/);
});

test("without IPv6 nameservers and search domains neither option is sent", () => {
  const reply = read(
    answer(capture("dhclient6-solicit"), { nameservers: ["10.0.0.1" as Ip], searchDomains: ["1.2.3.4"] }),
  );
  assert.equal(wire.findOption6(reply.options, wire.OPT_DNS_SERVERS), undefined);
  assert.equal(wire.findOption6(reply.options, wire.OPT_DOMAIN_LIST), undefined);
});

test("no DHCPv6 frame, however damaged, makes the responder throw or answer anybody else", () => {
  const responder = dhcp6Responder(dhcp6Config());
  const frames = [...CAPTURES].filter(([name]) => name.includes("6")).map(([, frame]) => frame);
  const damaged = fc
    .tuple(
      fc.constantFrom(...frames),
      fc.array(fc.tuple(fc.nat(159), fc.integer({ min: 0, max: 255 })), { maxLength: 6 }),
    )
    .map(([frame, changes]) => {
      const copy = frame.slice();
      for (const [at, value] of changes) if (at < copy.length) copy[at] = value;
      return copy;
    });
  const options = fc.array(
    fc.record({
      code: fc.constantFrom(1, 2, 3, 4, 5, 6, 13, 14, 25),
      value: fc.uint8Array({ maxLength: 80 }),
    }),
    { maxLength: 10 },
  );
  const made = fc
    .tuple(fc.integer({ min: 0, max: 13 }), options)
    .map(([type, list]) => ask(type, [CLIENT, ...list]));
  fc.assert(
    fc.property(fc.oneof(damaged, made), (frame) => {
      for (const out of responder.answer(frame, NOW)?.frames ?? []) {
        assert.equal(macFromBytes(out), macFromBytes(frame.subarray(6, 12)));
      }
    }),
    { numRuns: 2000 },
  );
});
