import assert from "node:assert/strict";
import { test } from "node:test";
import { inflateRawSync } from "node:zlib";
import fc from "fast-check";
import { type Mac, macFromBytes } from "../base/mac.ts";
import { attribute, concat, nested, textAttribute, u8Attribute } from "./netlink.ts";
import {
  decodeLink,
  encodeLinkIndex,
  encodeLinkQuestion,
  encodeLinkSettings,
  encodeNewBridge,
  encodeNewMacvlan,
  encodeNewPlainLink,
  encodeNewVeth,
  encodePortFlags,
} from "./netlink-link.ts";

/** RTM_NEWLINK of a tap (user 107, multi_queue, port of link 2) as Linux 6.18 sent it; deflated, it is long. */
const TAP = inflateRawSync(
  Buffer.from(
    "3ZS7TlRRFIa/febs4cw4wICjRsEBAnKRwokmFnhHrNWODiUQY0yAEEgoT0lB5wv4AL6CibG2sPQR1MLExH50rfMrw2TQwtiw" +
      "kpNvX9Zee5112RAoAUkdlwoldp5utWyc0c+nEkTqJBiHXCdyn2I/ZS8ar7Lk82t8axtHtN8kOG+JY9ggY5a2681hCxkL4h3x" +
      "rnhDvCn9Rdkdl52q/JrQ+qTuuaJ5y+dl9874QP7POKsEFt81P755iFtqu8B7znFSZI2+/35HjXmiZwJeh2EyAju7GyyRECn5" +
      "jq298NinykEUy56jSJ9ylyl3FecpUla3n689W4dHwU4F5TKxKiCT/V52kd2Co2Km+yriiNgUq9Kr6d/6yVUlNQZ+j8sMEnLz" +
      "oy5/hjQflp3TstMQL0pvTPNxcVKcEieO1GhkVpyXP2c64n62Y3xYs5HziuUlLDgZ04rpnHhZvV5mY3Nzy8ZvwwUOSNhXfH9J" +
      "6Pro4L9KfQZ/X7rF7LdCVZmCBtH7//PLlA8rxZnvqjd7KewN6vbTOvnV4KH9fKFC/rh465YTlLWjZ558Od7X0MPvcMx+r/jk" +
      "X6//cd+lKGH/V/O/W6/Ro5ej+mXqZ23+TVJu5yn38h8=",
    "base64",
  ),
);

test("a tap as the kernel tells it", () => {
  assert.deepEqual(decodeLink(TAP), {
    index: 3,
    name: "tap0",
    type: "tun",
    mac: "42:c2:1e:d8:bd:4f",
    mtu: 1400,
    up: false,
    master: 2,
    tap: { uid: 107, multiQueue: true },
    port: { learning: true, neighbourSuppression: false },
  });
});

test("a tun without Ethernet is no tap, and a tap without an owner is anybody's", () => {
  const tun = (type: number) =>
    decodeLink(
      concat(
        new Uint8Array(16),
        nested(18, textAttribute(1, "tun"), nested(2, u8Attribute(3, type), u8Attribute(7, 0))),
      ),
    );
  assert.equal(tun(1).tap, undefined);
  assert.deepEqual(tun(2).tap, { uid: -1, multiQueue: false });
});

test("link settings come back as they were", () => {
  const settings = fc.record(
    {
      name: fc.stringMatching(/^[a-z][a-z0-9]{0,14}$/),
      up: fc.constant(true),
      mtu: fc.integer({ min: 68, max: 65535 }),
      mac: fc.uint8Array({ minLength: 6, maxLength: 6 }).map(macFromBytes),
      alias: fc.stringMatching(/^[ -~]{1,200}$/),
      master: fc.integer({ min: 1, max: 0x7fffffff }),
    },
    { requiredKeys: [], noNullPrototype: true },
  );
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 0x7fffffff }), settings, (index, wanted) => {
      const { index: seen, type, ...rest } = decodeLink(encodeLinkSettings(index, wanted));
      assert.equal(seen, index);
      assert.equal(type, "");
      assert.deepEqual(rest, { name: "", mtu: 0, up: false, ...wanted });
    }),
  );
});

test("only the flag that is meant is in the mask", () => {
  const flags = (up?: boolean) => [...encodeLinkSettings(1, up === undefined ? {} : { up }).subarray(8, 16)];
  assert.deepEqual(flags(true), [1, 0, 0, 0, 1, 0, 0, 0]);
  assert.deepEqual(flags(false), [0, 0, 0, 0, 1, 0, 0, 0]);
  assert.deepEqual(flags(), [0, 0, 0, 0, 0, 0, 0, 0]);
});

test("a new bridge and a new veth have their kind and data", () => {
  const bridge = encodeNewBridge("br0", "02:00:00:00:00:01" as Mac);
  const { type, name, mac } = decodeLink(bridge);
  assert.deepEqual({ type, name, mac }, { type: "bridge", name: "br0", mac: "02:00:00:00:00:01" });
  const snoopingOff = nested(2, u8Attribute(23, 0));
  assert.ok(Buffer.from(bridge).includes(Buffer.from(snoopingOff)));
  const veth = encodeNewVeth({ name: "eth0", mtu: 1400 }, { name: "veth1" }, 7);
  assert.deepEqual(
    { type: decodeLink(veth).type, name: decodeLink(veth).name, mtu: decodeLink(veth).mtu },
    { type: "veth", name: "eth0", mtu: 1400 },
  );
  assert.ok(Buffer.from(veth).includes(Buffer.from(attribute(28, Uint8Array.of(7, 0, 0, 0)))));
  assert.ok(Buffer.from(veth).includes("veth1\0"));
});

test("a new macvlan has its lower link, mode, MAC and MTU", () => {
  for (const mode of ["bridge", "private", "vepa", "passthru"] as const) {
    const link = {
      kind: "macvtap",
      name: "tap0",
      lower: 7,
      mode,
      mac: "02:00:00:00:00:01" as Mac,
      mtu: 1400,
    } as const;
    const payload = encodeNewMacvlan(link);
    const { type, name, mac, mtu, macvlan } = decodeLink(payload);
    assert.deepEqual(
      { type, name, mac, mtu, macvlan },
      { type: "macvtap", name: "tap0", mac: link.mac, mtu: 1400, macvlan: { mode } },
    );
    assert.ok(Buffer.from(payload).includes(Buffer.from(attribute(5, Uint8Array.of(7, 0, 0, 0)))));
  }
});

test("a new dummy has its kind", () => {
  const { type, name, mtu } = decodeLink(
    encodeNewPlainLink("dummy", { name: "eth0", mac: "02:00:00:00:00:01" as Mac, mtu: 1400 }),
  );
  assert.deepEqual({ type, name, mtu }, { type: "dummy", name: "eth0", mtu: 1400 });
});

test("of a port's flags only those named are told", () => {
  const data = (flags: object) => Buffer.from(encodePortFlags("tap0", flags));
  const [learning, suppression] = [u8Attribute(8, 0), u8Attribute(32, 1)].map((one) => Buffer.from(one));
  assert.ok(data({ learning: false }).includes(learning as Buffer));
  assert.ok(!data({ learning: false }).includes(suppression as Buffer));
  assert.ok(data({ neighbourSuppression: true }).includes(suppression as Buffer));
  assert.deepEqual(
    decodeLink(encodePortFlags("tap0", { learning: false, neighbourSuppression: true })).port,
    {
      learning: false,
      neighbourSuppression: true,
    },
  );
});

test("questions name one link or none", () => {
  assert.equal(decodeLink(encodeLinkQuestion("eth0")).name, "eth0");
  assert.equal(decodeLink(encodeLinkQuestion()).name, "");
  assert.equal(decodeLink(encodeLinkIndex(12)).index, 12);
});
