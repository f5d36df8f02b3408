import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { CAPTURES, capture } from "../../test/support/captures.ts";
import { dhcp4Config, GUEST_MAC, LEASE_SECONDS } from "../../test/support/guest-configs.ts";
import type { Cidr, Ip } from "../base/ip.ts";
import { type Mac, macFromBytes, macToBytes, parseMac } from "../base/mac.ts";
import { concatBytes, u16Bytes, u32Bytes } from "../wire/bytes.ts";
import { isChecksumRight, pseudoHeaderSum4 } from "../wire/checksum.ts";
import { type Dhcp4Message, decodeDhcp4, encodeDhcp4 } from "../wire/dhcp4.ts";
import * as option from "../wire/dhcp4-options.ts";
import { decodeDnsNames } from "../wire/dns-names.ts";
import { BROADCAST_MAC } from "../wire/ethernet.ts";
import { decodeIpv4, ip4FromNumber, ip4ToNumber } from "../wire/ipv4.ts";
import { decodeUdp, encodeUdp4Frame } from "../wire/udp.ts";
import type { Dhcp4Config } from "./config.ts";
import { dhcp4Responder } from "./dhcp4.ts";
import type { Answer } from "./responder.ts";

const NOW = 1_000_000;
const BROADCAST = 0xffffffff;
const LEASE = ip4ToNumber("10.0.2.2" as Ip);
const SERVER = ip4ToNumber("10.0.2.1" as Ip);
const FOREIGN = ip4ToNumber("192.168.1.5" as Ip);

interface Reply {
  readonly destinationMac: Mac;
  readonly source: string;
  readonly destination: string;
  readonly port: number;
  readonly ipLength: number;
  readonly message: Dhcp4Message;
  readonly type: number;
}

/** Takes an answer apart and checks what must hold for all of them. */
function read(answer: Answer | undefined): Reply {
  assert.ok(answer !== undefined, "the frame was not taken for DHCP");
  assert.equal(answer.refusal, undefined);
  assert.equal(answer.frames.length, 1);
  const frame = answer.frames[0]!;
  assert.equal(macFromBytes(frame.subarray(6, 12)), "02:00:00:00:00:00");
  const ip = decodeIpv4(frame.subarray(14));
  assert.ok(typeof ip === "object");
  assert.ok(isChecksumRight(frame, 14, 34));
  assert.ok(
    isChecksumRight(
      ip.payload,
      0,
      ip.payload.length,
      pseudoHeaderSum4(ip.source, ip.destination, 17, ip.payload.length),
    ),
  );
  const udp = decodeUdp(ip.payload);
  assert.ok(typeof udp === "object");
  assert.equal(udp.sourcePort, 67);
  assert.ok(udp.payload.length >= 300, "shorter than BOOTP allows");
  const message = decodeDhcp4(udp.payload);
  assert.ok(typeof message === "object");
  return {
    destinationMac: macFromBytes(frame),
    source: ip4FromNumber(ip.source),
    destination: ip4FromNumber(ip.destination),
    port: udp.destinationPort,
    ipLength: frame.length - 14,
    message,
    type: message.options.get(option.MESSAGE_TYPE)?.[0] ?? 0,
  };
}

interface Ask {
  readonly type?: number;
  readonly options?: readonly (readonly [number, Uint8Array])[];
  readonly fields?: Partial<Dhcp4Message>;
  readonly source?: number;
  readonly destination?: number;
}

function ask({ type, options = [], fields, source = 0, destination = BROADCAST }: Ask): Uint8Array {
  const template = decodeDhcp4(capture("udhcpc-discover").subarray(42));
  assert.ok(typeof template === "object");
  const all = [
    ...(type === undefined ? [] : [[option.MESSAGE_TYPE, Uint8Array.of(type)] as const]),
    ...options,
  ];
  const ends = {
    sourceMac: macToBytes(GUEST_MAC),
    destinationMac: BROADCAST_MAC,
    source,
    destination,
    sourcePort: 68,
    destinationPort: 67,
  };
  return encodeUdp4Frame(ends, encodeDhcp4({ ...template, ...fields, options: new Map(all) }));
}

function answer(frame: Uint8Array, config: Partial<Dhcp4Config> = {}): Answer | undefined {
  return dhcp4Responder(dhcp4Config(config)).answer(frame, NOW);
}

function requested(address: number): readonly [number, Uint8Array] {
  return [option.REQUESTED_ADDRESS, u32Bytes(address)];
}

function serverId(address: number): readonly [number, Uint8Array] {
  return [option.SERVER_ID, u32Bytes(address)];
}

function text(message: Dhcp4Message, code: number): string | undefined {
  const value = message.options.get(code);
  return value && Buffer.from(value).toString();
}

test("udhcpc's DISCOVER gets an OFFER with everything that is configured", () => {
  const offer = read(answer(capture("udhcpc-discover")));
  const { options } = offer.message;
  assert.deepEqual(
    [...options].map(([code, value]) => [code, Buffer.from(value).toString("hex")]),
    [
      [option.MESSAGE_TYPE, "02"],
      [option.SERVER_ID, "0a000201"],
      [option.LEASE_SECONDS, "05250a80"],
      [option.SUBNET_MASK, "ffffff00"],
      [option.ROUTER, "0a000201"],
      [option.DNS_SERVERS, "0a0002030a60000a"],
      [option.INTERFACE_MTU, "05aa"],
      [option.BROADCAST_ADDRESS, "0a0002ff"],
      [option.HOST_NAME, Buffer.from("web").toString("hex")],
      [option.DOMAIN_NAME, Buffer.from("default.svc.cluster.local").toString("hex")],
      [
        option.DOMAIN_SEARCH,
        Buffer.from(
          "\x07default\x03svc\x07cluster\x05local\0\x03svc\x07cluster\x05local\0\x07cluster\x05local\0",
        ).toString("hex"),
      ],
      [option.CLIENT_ID, "01525400123456"],
    ],
  );
  assert.equal(LEASE_SECONDS, 0x05250a80);
  assert.equal(offer.message.yiaddr, LEASE);
  assert.deepEqual([offer.message.ciaddr, offer.message.siaddr, offer.message.giaddr], [0, 0, 0]);
  assert.equal(macFromBytes(offer.message.chaddr), GUEST_MAC);
});

test("every captured dialogue goes on as it did with the client", () => {
  const expected = [
    ["udhcpc-discover", option.OFFER],
    ["udhcpc-request", option.ACK],
    ["dhclient-discover", option.OFFER],
    ["dhclient-request", option.ACK],
    ["dhclient-reboot", option.ACK],
    ["dhcpcd-discover", option.ACK],
    ["dhcpcd-inform", option.ACK],
    ["networkd-discover", option.OFFER],
    ["networkd-request", option.ACK],
  ] as const;
  for (const [name, type] of expected) assert.equal(read(answer(capture(name))).type, type, name);
  assert.equal(answer(capture("dhclient-release"))?.refusal, "no-answer-due");
});

test("an ACK tells the lease, an OFFER does not", () => {
  assert.equal(answer(capture("udhcpc-discover"))?.fact, undefined);
  assert.deepEqual(answer(capture("udhcpc-request"))?.fact, {
    kind: "lease",
    via: "dhcp4",
    mac: GUEST_MAC,
    ip: "10.0.2.2",
    untilMs: NOW + LEASE_SECONDS * 1000,
  });
  assert.equal(answer(capture("dhcpcd-discover"))?.fact?.kind, "lease", "rapid commit is a lease");
});

test("rapid commit is confirmed in the answer (RFC 4039)", () => {
  assert.ok(read(answer(capture("dhcpcd-discover"))).message.options.has(option.RAPID_COMMIT));
  assert.ok(!read(answer(capture("udhcpc-request"))).message.options.has(option.RAPID_COMMIT));
});

test("a REQUEST is acknowledged for our address or none, and refused for another one in every state", () => {
  const cases: readonly (readonly [string, Ask, number])[] = [
    ["selecting", { options: [requested(LEASE), serverId(SERVER)] }, option.ACK],
    [
      "selecting, another server's name, our address",
      { options: [requested(LEASE), serverId(FOREIGN)] },
      option.ACK,
    ],
    ["selecting, another server's address", { options: [requested(FOREIGN), serverId(FOREIGN)] }, option.NAK],
    [
      "selecting ours, wanting another address",
      { options: [requested(FOREIGN), serverId(SERVER)] },
      option.NAK,
    ],
    ["init-reboot", { options: [requested(LEASE)] }, option.ACK],
    ["init-reboot on another network", { options: [requested(FOREIGN)] }, option.NAK],
    ["renewing", { fields: { ciaddr: LEASE }, source: LEASE, destination: SERVER }, option.ACK],
    ["rebinding", { fields: { ciaddr: LEASE }, source: LEASE }, option.ACK],
    ["rebinding another address", { fields: { ciaddr: FOREIGN }, source: FOREIGN }, option.NAK],
    ["naming no address", {}, option.ACK],
    [
      "an address of the wrong length",
      { options: [[option.REQUESTED_ADDRESS, Uint8Array.of(1)]] },
      option.ACK,
    ],
  ];
  for (const [name, request, type] of cases) {
    assert.equal(read(answer(ask({ type: option.REQUEST, ...request }))).type, type, name);
  }
});

test("a NAK goes to everybody, gives nothing and says what is right", () => {
  const nak = read(
    answer(ask({ type: option.REQUEST, options: [requested(FOREIGN)], fields: { ciaddr: 0 } })),
  );
  assert.deepEqual(
    [nak.destinationMac, nak.destination, nak.port],
    ["ff:ff:ff:ff:ff:ff", "255.255.255.255", 68],
  );
  assert.deepEqual([nak.message.yiaddr, nak.message.ciaddr, nak.message.siaddr], [0, 0, 0]);
  assert.deepEqual(
    [...nak.message.options.keys()],
    [option.MESSAGE_TYPE, option.SERVER_ID, option.MESSAGE_TEXT],
  );
  assert.equal(text(nak.message, option.MESSAGE_TEXT), "the address here is 10.0.2.2");
  assert.equal(answer(ask({ type: option.REQUEST, options: [requested(FOREIGN)] }))?.fact, undefined);
});

test("INFORM gets the configuration without a lease", () => {
  const inform = read(answer(capture("dhcpcd-inform")));
  assert.deepEqual([inform.destinationMac, inform.destination], [GUEST_MAC, "10.0.2.2"]);
  assert.equal(inform.message.yiaddr, 0);
  assert.ok(!inform.message.options.has(option.LEASE_SECONDS));
  assert.ok(inform.message.options.has(option.DNS_SERVERS));
  // A client that leaves ciaddr empty is answered where it speaks from.
  const lazy = read(answer(ask({ type: option.INFORM, source: LEASE })));
  assert.equal(lazy.destination, "10.0.2.2");
});

test("RELEASE and DECLINE are noted and not answered", () => {
  for (const [type, kind] of [
    [option.RELEASE, "released"],
    [option.DECLINE, "declined"],
  ] as const) {
    const { frames, fact, refusal } = answer(ask({ type }))!;
    assert.deepEqual([frames, refusal], [[], "no-answer-due"]);
    assert.deepEqual(fact, { kind, via: "dhcp4", mac: GUEST_MAC, ip: "10.0.2.2" });
  }
});

test("answers go where RFC 2131 4.1 sends them, by Ethernet never to anybody but the sender", () => {
  const route = (request: Ask) => {
    const { destinationMac, destination, port } = read(answer(ask({ type: option.DISCOVER, ...request })));
    return `${destinationMac} ${destination}:${port}`;
  };
  assert.equal(route({}), `${GUEST_MAC} 10.0.2.2:68`);
  assert.equal(route({ fields: { flags: 0x8000 } }), "ff:ff:ff:ff:ff:ff 255.255.255.255:68");
  assert.equal(route({ fields: { giaddr: FOREIGN, flags: 0x8000 } }), `${GUEST_MAC} 192.168.1.5:67`);
  assert.equal(
    route({ type: option.REQUEST, fields: { ciaddr: LEASE, flags: 0x8000 } }),
    `${GUEST_MAC} 10.0.2.2:68`,
  );
  const otherHardware = new Uint8Array(16).fill(0x42);
  assert.equal(route({ fields: { chaddr: otherHardware } }), `${GUEST_MAC} 10.0.2.2:68`);
});

test("fields of the request come back: xid, flags, chaddr, giaddr; a relayed NAK asks for broadcast", () => {
  const fields = { xid: 0xdeadbeef, flags: 0x8001, giaddr: FOREIGN, secs: 9, hops: 3 };
  const { message } = read(answer(ask({ type: option.DISCOVER, fields })));
  assert.deepEqual(
    [message.op, message.xid, message.flags, message.giaddr],
    [2, 0xdeadbeef, 0x8001, FOREIGN],
  );
  assert.deepEqual([message.secs, message.hops], [0, 0]);
  const relayed = { type: option.REQUEST, options: [requested(FOREIGN)], fields: { giaddr: FOREIGN } };
  assert.equal(read(answer(ask(relayed))).message.flags, 0x8000);
});

test("what is not for this server is refused with its reason, or is nobody's", () => {
  const refusal = (request: Ask, config: Partial<Dhcp4Config> = {}) => answer(ask(request), config)?.refusal;
  assert.equal(refusal({ type: option.DISCOVER, destination: FOREIGN }), "other-destination");
  assert.equal(refusal({ type: option.DISCOVER, fields: { op: 2 } }), "not-a-request");
  assert.equal(refusal({ type: option.OFFER }), "not-a-request");
  assert.equal(refusal({ type: 99 }), "not-a-request");
  assert.equal(refusal({}), "missing-option");
  assert.equal(refusal({ options: [[option.MESSAGE_TYPE, Uint8Array.of(1, 1)]] }), "missing-option");
  const clientMac = parseMac("52:54:00:00:00:01")!;
  assert.equal(refusal({ type: option.DISCOVER }, { clientMac }), "other-client");
  assert.equal(refusal({ type: option.DISCOVER }, { clientMac: GUEST_MAC }), undefined);
  assert.equal(answer(capture("dhclient6-solicit")), undefined);
  const otherPort = capture("udhcpc-discover");
  otherPort.set([0, 53], 36);
  assert.equal(answer(otherPort), undefined);
  assert.equal(read(answer(ask({ type: option.DISCOVER, destination: LEASE | 0xff }))).type, option.OFFER);
});

test("quirks of KubeVirt's server are gone: no empty option 6, bad search domains cost only themselves", () => {
  const ipv6Only = read(answer(capture("udhcpc-discover"), { nameservers: ["fd00::10" as Ip] }));
  assert.ok(!ipv6Only.message.options.has(option.DNS_SERVERS));
  const searchDomains = [
    "DHCP",
    "114.114.114.114",
    "Corp.Example.COM.",
    "a..b",
    "-x.org",
    "corp.example.com",
    "x".repeat(300),
  ];
  const responder = dhcp4Responder(dhcp4Config({ searchDomains }));
  const { options } = read(responder.answer(capture("udhcpc-discover"), NOW)).message;
  assert.deepEqual(decodeDnsNames(options.get(option.DOMAIN_SEARCH)!), ["dhcp", "corp.example.com"]);
  assert.equal(Buffer.from(options.get(option.DOMAIN_NAME)!).toString(), "corp.example.com");
  assert.equal(responder.notes.length, 4);
  assert.match(responder.notes[0]!, /"114.114.114.114" is not a domain name/);
  const none = read(answer(capture("udhcpc-discover"), { searchDomains: ["1.2.3.4"] }));
  assert.ok(!none.message.options.has(option.DOMAIN_SEARCH) && !none.message.options.has(option.DOMAIN_NAME));
});

test("all of dhcpOptions is sent, values over 255 bytes in pieces", () => {
  const value = "v".repeat(300);
  const { message } = read(
    answer(ask({ type: option.DISCOVER }), {
      ntpServers: ["10.1.2.3" as Ip, "10.1.2.4" as Ip, "fd00::1" as Ip],
      tftpServerName: "10.9.8.7",
      bootFileName: "pxelinux.0",
      privateOptions: [
        { option: 240, value: "second" },
        { option: 224, value },
        { option: 240, value: "wins" },
        { option: 12, value: "not private" },
        { option: 254, value: "" },
      ],
    }),
  );
  assert.equal(Buffer.from(message.options.get(option.NTP_SERVERS)!).toString("hex"), "0a0102030a010204");
  assert.equal(text(message, option.TFTP_SERVER_NAME), "10.9.8.7");
  assert.equal(text(message, option.BOOT_FILE_NAME), "pxelinux.0");
  assert.equal(text(message, 224), value);
  assert.equal(text(message, 240), "wins");
  assert.equal(text(message, option.HOST_NAME), "web");
  assert.ok(!message.options.has(254));
  // The BOOTP fields say the same to old boot code.
  assert.equal(ip4FromNumber(message.siaddr), "10.9.8.7");
  assert.equal(Buffer.from(message.file).toString().replace(/\0+$/, ""), "pxelinux.0");
  const named = read(answer(capture("udhcpc-discover"), { tftpServerName: "boot.example.com" }));
  assert.equal(named.message.siaddr, 0);
});

test("routes go in option 121, default last, and the router is among them", () => {
  const routesOf = (config: Partial<Dhcp4Config>) => {
    const value = read(answer(capture("udhcpc-discover"), config)).message.options.get(
      option.CLASSLESS_ROUTES,
    );
    return option
      .decodeClasslessRoutes(value ?? new Uint8Array())
      ?.map(({ prefix, network, gateway }) => `${network.join(".")}/${prefix} ${gateway.join(".")}`);
  };
  const calico = [
    { destination: "0.0.0.0/0" as Cidr, gateway: "169.254.1.1" as Ip },
    { destination: "169.254.1.1/32" as Cidr },
    { destination: "fd00::/64" as Cidr },
  ];
  assert.deepEqual(routesOf({ routes: calico }), ["169.254.1.1/32 0.0.0.0", "0.0.0.0/0 169.254.1.1"]);
  const partial = [{ destination: "10.9.0.0/16" as Cidr, gateway: "10.0.2.1" as Ip }];
  assert.deepEqual(routesOf({ routes: partial }), ["10.9.0.0/16 10.0.2.1", "0.0.0.0/0 10.0.2.1"]);
  assert.deepEqual(routesOf({ routes: [] }), []);
});

test("answers keep to the client's maximum message size, leaving out the least important", () => {
  const config = {
    searchDomains: Array.from({ length: 12 }, (_, i) => `team-${i}.department.example.com`),
    privateOptions: [
      { option: 224, value: "a".repeat(200) },
      { option: 225, value: "b" },
    ],
  };
  const reply = (limit: number | undefined) =>
    read(
      answer(
        ask({
          type: option.DISCOVER,
          options: limit === undefined ? [] : [[option.MAX_MESSAGE_SIZE, u16Bytes(limit)]],
        }),
        config,
      ),
    );
  const small = reply(576);
  assert.ok(small.ipLength <= 576);
  assert.ok(!small.message.options.has(224), "the long one is out");
  assert.ok(small.message.options.has(225), "a later short one still fits");
  assert.ok(small.message.options.has(option.DNS_SERVERS));
  const names = decodeDnsNames(small.message.options.get(option.DOMAIN_SEARCH)!);
  assert.deepEqual(
    names,
    config.searchDomains.slice(0, names.length),
    "the list ends early but has no holes",
  );
  assert.deepEqual(reply(300), small, "less than 576 is 576");
  assert.equal(text(reply(undefined).message, 224), "a".repeat(200));
  assert.deepEqual(reply(1500), reply(undefined));
});

test("an answer is never longer than the MTU, and what cannot be sent at all is told", () => {
  const privateOptions = Array.from({ length: 30 }, (_, i) => ({ option: 224 + i, value: "x".repeat(200) }));
  for (const mtu of [576, 1280, 1450, 9000]) {
    const responder = dhcp4Responder(dhcp4Config({ mtu, privateOptions }));
    const { ipLength } = read(responder.answer(ask({ type: option.DISCOVER }), NOW));
    assert.ok(ipLength <= Math.min(mtu, 1500), `${ipLength} bytes for an MTU of ${mtu}`);
    assert.ok(responder.notes.some((note) => /option 253 .* does not fit/.test(note)));
  }
});

test("for any size and client identifier the answer is whole and within the limit", () => {
  const config = dhcp4Config({
    searchDomains: Array.from({ length: 40 }, (_, i) => `team-${i}.department.example.com`),
    privateOptions: [{ option: 230, value: "p".repeat(90) }],
  });
  const responder = dhcp4Responder(config);
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 0xffff }), fc.uint8Array({ maxLength: 250 }), (limit, id) => {
      const options: [number, Uint8Array][] = [
        [option.MAX_MESSAGE_SIZE, u16Bytes(limit)],
        [option.CLIENT_ID, id],
      ];
      const reply = read(responder.answer(ask({ type: option.DISCOVER, options }), NOW));
      assert.ok(reply.ipLength <= Math.max(576, Math.min(limit, 1450)));
      assert.ok(reply.message.options.has(option.ROUTER));
      const echoed = reply.message.options.get(option.CLIENT_ID);
      assert.deepEqual(echoed, id.length > 0 && id.length <= 64 ? id : undefined);
    }),
  );
});

test("a guest with a /30 or /32 gets no broadcast address", () => {
  for (const lease of ["10.0.2.2/31", "10.0.2.2/32"] as Cidr[]) {
    assert.ok(
      !read(answer(capture("udhcpc-discover"), { lease })).message.options.has(option.BROADCAST_ADDRESS),
    );
  }
});

test("nothing a guest sends makes the responder throw or answer anybody else", () => {
  const responder = dhcp4Responder(dhcp4Config());
  const frames = [...CAPTURES.values()];
  const damaged = fc
    .tuple(
      fc.constantFrom(...frames),
      fc.array(fc.tuple(fc.nat(341), fc.integer({ min: 0, max: 255 })), { maxLength: 6 }),
      fc.nat(341),
    )
    .map(([frame, changes, cut]) => {
      const copy = frame.slice(0, cut === 0 ? frame.length : Math.max(cut, 14));
      for (const [at, value] of changes) if (at < copy.length) copy[at] = value;
      return copy;
    });
  const hostile = fc
    .tuple(fc.uint8Array({ maxLength: 400 }))
    .map(([options]) => concatBytes([capture("udhcpc-discover").subarray(0, 282), options]))
    .map((frame) => {
      new DataView(frame.buffer).setUint16(16, frame.length - 14);
      new DataView(frame.buffer).setUint16(38, frame.length - 34);
      return frame;
    });
  fc.assert(
    fc.property(fc.oneof(damaged, hostile, fc.uint8Array({ maxLength: 600 })), (frame) => {
      const result = responder.answer(frame, NOW);
      for (const out of result?.frames ?? []) {
        const to = macFromBytes(out);
        assert.ok(to === macFromBytes(frame.subarray(6, 12)) || to === "ff:ff:ff:ff:ff:ff");
      }
    }),
    { numRuns: 2000 },
  );
});
