/** masquerade, with packets: who reaches whom, as whom, and what is dropped and counted. IPv4 and IPv6 alike. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { previewPod, wirePod } from "../../src/apply/wire-pod.ts";
import { registry } from "../../src/bindings/index.ts";
import { GUEST, type MasqueradePod, masqueradePod } from "../support/masquerade-pod.ts";
import { requires } from "../support/netns.ts";
import { answer, ask, listen } from "../support/talk.ts";
import { HOST_IP, OTHER, POD } from "../support/wired-pod.ts";

const families = ["v4", "v6"] as const;
const GATEWAY = { v4: "10.0.2.1", v6: "fd10:0:2::1" } as const;
const DNS = { v4: "10.0.2.3", v6: "fd10:0:2::3" } as const;

/** Like a test's context, for what several tests share. */
function shared(): { after(fn: () => unknown): void; undo(): Promise<void> } {
  const undo: (() => unknown)[] = [];
  return {
    after: (fn) => void undo.push(fn),
    undo: async () => {
      for (const fn of undo.toReversed()) await fn();
    },
  };
}

describe("masquerade with declared ports", requires("root", "nft", "udhcpc"), () => {
  const scope = shared();
  let it: MasqueradePod;
  before(async () => {
    const ports = [{ port: 80 }, { port: 5353, protocol: "UDP" as const }];
    it = await masqueradePod(scope as never, { nic: { ports } });
    for (const port of [80, 81]) await listen(scope, it.guest, "guest", "tcp", port);
    for (const port of [5353, 5354]) await listen(scope, it.guest, "guest", "udp", port);
    await listen(scope, it.neighbour, "neighbour", "tcp", 8080);
    await listen(scope, it.host, "host", "tcp", 22);
    await listen(scope, it.host, "resolver", "udp", 53);
    await listen(scope, it.host, "resolver", "tcp", 53);
    await listen(scope, it.pod, "pod", "tcp", 9000);
  });
  after(() => scope.undo());

  for (const family of families) {
    test(`${family}: a declared port reaches the guest, which sees who asks`, async () => {
      assert.equal(await answer(it.neighbour, POD[family], "tcp", 80), `guest ${OTHER[family]}`);
      assert.equal(await answer(it.host, POD[family], "tcp", 80), `guest ${HOST_IP[family]}`);
      assert.equal(await answer(it.neighbour, POD[family], "udp", 5353), `guest ${OTHER[family]}`);
    });

    test(`${family}: what is not declared is dropped without an answer, and counted`, async () => {
      const before = it.counter("undeclared_inbound");
      assert.equal(await ask(it.neighbour, POD[family], "tcp", 81), "silence");
      assert.equal(
        await ask(it.host, POD[family], "tcp", 5353),
        "silence",
        "declared for the other protocol",
      );
      assert.equal(await ask(it.neighbour, POD[family], "udp", 5354), "silence");
      assert.equal(await ask(it.neighbour, POD[family], "tcp", 9000), "silence", "the pod's own listener");
      assert.ok(it.counter("undeclared_inbound") >= before + 4);
    });

    test(`${family}: a neighbour that routes the guest's address through the pod does not get there`, async () => {
      const prefix = family === "v4" ? "10.0.2.0/24" : "fd10:0:2::/64";
      it.neighbour.run("ip", "route", "add", prefix, "via", POD[family]);
      const before = it.counter("undeclared_inbound");
      assert.equal(await ask(it.neighbour, GUEST[family], "tcp", 81), "silence");
      assert.equal(await ask(it.neighbour, GUEST[family], "tcp", 80), "silence");
      assert.equal(await ask(it.neighbour, GATEWAY[family], "tcp", 9000), "silence");
      assert.ok(it.counter("undeclared_inbound") > before);
    });

    test(`${family}: the guest reaches out with the pod's address`, async () => {
      assert.equal(await answer(it.guest, OTHER[family], "tcp", 8080), `neighbour ${POD[family]}`);
      await it.guest.read("ping", "-c1", "-W2", OTHER[family]);
    });

    test(`${family}: the virtual resolver is the pod's`, async () => {
      for (const protocol of ["udp", "tcp"] as const) {
        assert.equal(await answer(it.guest, DNS[family], protocol, 53), `resolver ${POD[family]}`);
      }
    });

    test(`${family}: hairpin: the guest reaches itself by the pod's address`, async () => {
      assert.equal(await answer(it.guest, POD[family], "tcp", 80), `guest ${GATEWAY[family]}`);
      assert.equal(await answer(it.guest, POD[family], "udp", 5353), `guest ${GATEWAY[family]}`);
    });

    test(`${family}: the pod itself reaches the guest by its own address`, async () => {
      assert.match(await answer(it.pod, POD[family], "tcp", 80), /^guest /);
    });

    test(`${family}: the guest does not reach the pod's own listeners`, async () => {
      const before = it.counter("guest_to_pod");
      assert.equal(await ask(it.guest, GATEWAY[family], "tcp", 9000), "silence");
      assert.equal(await ask(it.guest, POD[family], "tcp", 9000), "silence");
      assert.ok(it.counter("guest_to_pod") > before);
      await it.guest.read("ping", "-c1", "-W2", GATEWAY[family]);
    });
  }

  test("loopback: the pod's own processes reach the guest by 127.0.0.1", async () => {
    assert.equal(await answer(it.pod, "127.0.0.1", "tcp", 80), "guest 10.0.2.1");
    assert.equal(await answer(it.pod, "127.0.0.1", "tcp", 81), "refused");
  });

  test("a forged sender does not leave the tap, and is counted by kind", async () => {
    const count = (): Record<string, number> =>
      Object.fromEntries(
        ["spoofed_ipv4", "spoofed_ipv6", "spoofed_mac", "spoofed_router"].map((name) => [
          name,
          it.counter(name),
        ]),
      );
    const before = count();
    await it.guest.read("ip", "address", "add", "10.0.2.99/24", "dev", "eth0");
    await it.guest.read("ip", "address", "add", "fdbe::99/64", "dev", "eth0", "nodad");
    await it.guest.exec("ping", ["-c1", "-W1", "-I", "10.0.2.99", OTHER.v4]);
    await it.guest.exec("ping", ["-c1", "-W1", "-I", "fdbe::99", OTHER.v6]);
    // A macvlan speaks with a MAC of its own.
    await it.guest.read("ip", "link", "add", "forged", "link", "eth0", "type", "macvlan", "mode", "bridge");
    await it.guest.read("ip", "address", "add", "10.0.2.50/24", "dev", "forged");
    await it.guest.read("ip", "link", "set", "forged", "up");
    await it.guest.exec("ping", ["-c1", "-W1", "-I", "forged", "10.0.2.1"]);
    await it.guest.read("ip", "link", "del", "forged");
    await it.guest.exec("socat", ["-u", "STDIN", "UDP4-SENDTO:255.255.255.255:68,sourceport=67,broadcast"], {
      input: "offer",
    });
    const now = count();
    for (const [name, packets] of Object.entries(before)) assert.ok((now[name] ?? 0) > packets, name);
    await it.guest.read("ip", "address", "del", "10.0.2.99/24", "dev", "eth0");
    await it.guest.read("ip", "address", "del", "fdbe::99/64", "dev", "eth0");
    assert.equal(
      await answer(it.guest, OTHER.v4, "tcp", 8080),
      `neighbour ${POD.v4}`,
      "honest traffic goes on",
    );
  });

  test("after all that nothing has drifted", () => {
    const preview = previewPod(it.kernel, it.input, it.files, registry);
    assert.ok(preview.ok);
    assert.deepEqual(preview.value.steps, []);
  });

  test("a flushed ruleset is found and put back, the guest is reachable again", async () => {
    it.pod.run("nft", "flush", "ruleset");
    assert.equal(await answer(it.neighbour, POD.v4, "tcp", 80), "refused");
    const again = wirePod(it.kernel, it.input, it.files, registry);
    assert.ok(again.ok);
    assert.deepEqual(
      again.value.steps.map(({ op }) => op),
      ["nft.replace"],
    );
    assert.equal(await answer(it.neighbour, POD.v4, "tcp", 80), `guest ${OTHER.v4}`);
  });
});

test(
  "inbound: all: without declared ports everything reaches the guest",
  requires("root", "nft", "udhcpc"),
  async (t) => {
    const it = await masqueradePod(t, { annotations: { "podtap.io/inbound": "all" } });
    await listen(t, it.guest, "guest", "tcp", 4321);
    await listen(t, it.guest, "guest", "udp", 4321);
    for (const family of families) {
      assert.equal(await answer(it.neighbour, POD[family], "tcp", 4321), `guest ${OTHER[family]}`);
      assert.equal(await answer(it.neighbour, POD[family], "udp", 4321), `guest ${OTHER[family]}`);
      assert.equal(await answer(it.neighbour, POD[family], "tcp", 4322), "refused", "by the guest itself");
    }
  },
);

test(
  "port ranges are forwarded to their last port and not beyond",
  requires("root", "nft", "udhcpc"),
  async (t) => {
    const portRanges = [
      { protocol: "TCP" as const, start: 8000, end: 8010 },
      { protocol: "UDP" as const, start: 9000, end: 9001 },
    ];
    const it = await masqueradePod(t, { nic: { portRanges } });
    for (const port of [8000, 8010, 8011]) await listen(t, it.guest, "guest", "tcp", port);
    await listen(t, it.guest, "guest", "udp", 9001);
    for (const family of families) {
      assert.equal(await answer(it.neighbour, POD[family], "tcp", 8000), `guest ${OTHER[family]}`);
      assert.equal(await answer(it.neighbour, POD[family], "tcp", 8010), `guest ${OTHER[family]}`);
      assert.equal(await ask(it.neighbour, POD[family], "tcp", 8011), "silence");
      assert.equal(await answer(it.neighbour, POD[family], "udp", 9001), `guest ${OTHER[family]}`);
    }
  },
);

test(
  "a /30 and a custom IPv6 network work as the defaults do",
  requires("root", "nft", "udhcpc"),
  async (t) => {
    const it = await masqueradePod(t, {
      nic: { masquerade: { cidr: "192.168.100.0/30" }, ports: [{ port: 80 }] },
    });
    await listen(t, it.guest, "guest", "tcp", 80);
    assert.match(await it.guest.read("ip", "-4", "address", "show", "dev", "eth0"), /192\.168\.100\.2\/30/);
    assert.equal(await answer(it.neighbour, POD.v4, "tcp", 80), `guest ${OTHER.v4}`);
    assert.match(it.guest.resolvConf(), /nameserver 10\.99\.0\.1/, "no room for a virtual resolver");
  },
);

for (const mtu of [1400, 9000]) {
  test(
    `MTU ${mtu} of the pod NIC is the guest's, and large transfers pass`,
    requires("root", "nft", "udhcpc"),
    async (t) => {
      const it = await masqueradePod(t, { nic: { ports: [{ port: 80 }] } }, { mtu });
      assert.match(it.pod.run("ip", "link", "show", "tap0"), new RegExp(`mtu ${mtu} `));
      assert.match(it.pod.run("ip", "link", "show", "k6t-eth0"), new RegExp(`mtu ${mtu} `));
      const [nic] = it.plan.nics;
      assert.equal(nic?.domain.mtu, mtu);
      for (const family of families) {
        const head = family === "v4" ? 28 : 48;
        await it.guest.read("ping", "-c1", "-W2", "-M", "do", "-s", String(mtu - head), OTHER[family]);
        const beyond = await it.guest.exec("ping", [
          "-c1",
          "-W1",
          "-M",
          "do",
          "-s",
          String(mtu - head + 1),
          OTHER[family],
        ]);
        assert.notEqual(beyond.code, 0);
      }
    },
  );
}
