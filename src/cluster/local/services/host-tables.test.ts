import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { Pod, Service, ServiceSpec } from "../../../api/types.ts";
import { type Cidr, cidrContains, type Ip } from "../../../base/ip.ts";
import { renderTable } from "../../../nft/render.ts";
import type { RangePair } from "../cni/pod-ranges.ts";
import { allocateClusterIps } from "./cluster-ip.ts";
import { type HostTablesInput, hostTables } from "./host-tables.ts";
import { selectEndpoints } from "./service-endpoints.ts";
import { missingRoutes } from "./service-routes.ts";

const ranges: RangePair = { v4: "10.96.0.0/20" as Cidr, v6: "fd12::2:0/112" as Cidr };

function service(spec: Partial<ServiceSpec> & Record<string, unknown> = {}, name = "web"): Service {
  const base: ServiceSpec = { selector: { app: "web" }, ports: [{ port: 80 }], clusterIP: "10.96.0.80" };
  return {
    apiVersion: "v1",
    kind: "Service",
    metadata: { name, namespace: "default" },
    spec: { ...base, ...spec },
  };
}

function pod(name: string, ips: readonly string[], parts: Partial<Pod> = {}): Pod {
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name, namespace: "default", labels: { app: "web", "kubevirt.io": "virt-launcher" } },
    spec: { containers: [{ ports: [{ name: "http", protocol: "TCP", containerPort: 8080 }] }, {}] },
    status: { phase: "Running", podIPs: ips.map((ip) => ({ ip })) },
    ...parts,
  };
}

const ports = (spec: Partial<ServiceSpec>, ...pods: Pod[]) =>
  selectEndpoints([service(spec)], pods)[0]?.ports;

test("endpoints are the running pods that all labels of the selector fit", () => {
  const a = pod("a", ["10.88.0.2", "fd12::2"]);
  const waiting = pod("b", ["10.88.0.3"], { status: { phase: "Pending", podIPs: [{ ip: "10.88.0.3" }] } });
  const unready = pod("c", ["10.88.0.4"], {
    status: {
      phase: "Running",
      podIPs: [{ ip: "10.88.0.4" }],
      conditions: [{ type: "Ready", status: "False" }],
    },
  });
  const leaving = pod("d", ["10.88.0.5"]);
  const going = { ...leaving, metadata: { ...leaving.metadata, deletionTimestamp: "2026-11-21T00:00:00Z" } };
  const elsewhere = { ...a, metadata: { ...a.metadata, namespace: "other" } };
  assert.deepEqual(ports({}, a, waiting, unready, going, elsewhere), [
    {
      protocol: "TCP",
      port: 80,
      backends: [
        { ip: "10.88.0.2", port: 80, pod: "default/a" },
        { ip: "fd12::2", port: 80, pod: "default/a" },
      ],
    },
  ]);
  assert.deepEqual(ports({ selector: { app: "web", tier: "x" } }, a)?.[0]?.backends, []);
  assert.deepEqual(ports({ selector: {} }, a)?.[0]?.backends, []);
});

test("a target port may be a number, a declared name, or the port itself", () => {
  const backend = (port: object) =>
    ports({ ports: [{ port: 80, ...port }] }, pod("a", ["10.88.0.2"]))?.[0]?.backends[0]?.port;
  assert.equal(backend({}), 80);
  assert.equal(backend({ targetPort: 22 }), 22);
  assert.equal(backend({ targetPort: "http" }), 8080);
  assert.equal(backend({ targetPort: "http", protocol: "UDP" }), undefined);
  assert.equal(backend({ targetPort: "nope" }), undefined);
});

test("what a Service asks beyond ClusterIP is told as a warning", () => {
  const warnings = (spec: Record<string, unknown>) =>
    selectEndpoints([service(spec)], [])[0]?.warnings.map(({ field }) => field);
  assert.deepEqual(warnings({}), []);
  assert.deepEqual(warnings({ sessionAffinity: "ClientIP" }), ["spec.sessionAffinity"]);
  assert.deepEqual(warnings({ sessionAffinity: "None", type: "NodePort" }), ["spec.type"]);
  assert.deepEqual(selectEndpoints([service({ type: "ExternalName" })], []), []);
});

test("a Service gets a free address of its range, the same again, and both families when asked", () => {
  const allocate = (spec: Record<string, unknown>, taken: string[] = [], pair: RangePair = ranges) =>
    allocateClusterIps(service({ clusterIP: "", ...spec }), pair, new Set(taken));
  const first = allocate({});
  assert.ok(first.ok);
  assert.deepEqual(allocate({}), first);
  const [ip = ""] = first.value.clusterIPs;
  assert.ok(cidrContains(ranges.v4, ip as Ip));
  const second = allocate({}, [ip]);
  assert.ok(second.ok && second.value.clusterIPs[0] !== ip);
  const dual = allocate({ ipFamilyPolicy: "PreferDualStack", ipFamilies: ["IPv6"] });
  assert.ok(dual.ok);
  assert.deepEqual(dual.value.ipFamilies, ["IPv6", "IPv4"]);
  const alone = allocate({ ipFamilyPolicy: "PreferDualStack" }, [], { v4: ranges.v4 });
  assert.deepEqual(alone.ok && alone.value.ipFamilies, ["IPv4"]);
  assert.equal(allocate({ ipFamilyPolicy: "RequireDualStack" }, [], { v4: ranges.v4 }).ok, false);
  assert.deepEqual(allocate({ clusterIP: "None" }), {
    ok: true,
    value: { clusterIPs: ["None"], ipFamilies: ["IPv4"] },
    warnings: [],
  });
});

test("an address given by hand is taken, or refused in Kubernetes' words", () => {
  const allocate = (clusterIP: string, taken: string[] = []) => {
    const result = allocateClusterIps(service({ clusterIP }), ranges, new Set(taken));
    return result.ok ? result.value.clusterIPs[0] : result.problems[0]?.message;
  };
  assert.equal(allocate("10.96.0.10"), "10.96.0.10");
  assert.equal(allocate("fd12::2:10"), "fd12::2:10");
  assert.equal(allocate("10.96.0.10", ["10.96.0.10"]), "provided IP 10.96.0.10 is already allocated");
  assert.equal(allocate("10.1.0.1"), "provided IP 10.1.0.1 is not in the valid range 10.96.0.0/20");
  assert.equal(allocate("x"), "provided IP x is not in the valid range 10.96.0.0/20");
});

test("no address is given twice and all are in the range", () => {
  const small: RangePair = { v4: "10.96.0.0/26" as Cidr };
  fc.assert(
    fc.property(fc.uniqueArray(fc.stringMatching(/^[a-z]{1,8}$/), { maxLength: 60 }), (names) => {
      const taken = new Set<string>();
      for (const name of names) {
        const result = allocateClusterIps(service({ clusterIP: "" }, name), small, taken);
        // 64 addresses less the static band and the last.
        assert.equal(result.ok, taken.size < 47);
        if (!result.ok) continue;
        const [ip = ""] = result.value.clusterIPs;
        assert.ok(!taken.has(ip) && cidrContains(small.v4, ip as Ip));
        taken.add(ip);
      }
    }),
  );
});

const input: HostTablesInput = {
  services: selectEndpoints(
    [
      service({
        clusterIPs: ["10.96.0.80", "fd12::2:80"],
        ports: [
          { name: "http", port: 80, targetPort: "http" },
          { name: "dns", port: 53, protocol: "UDP" },
        ],
      }),
      service({ clusterIP: "10.96.0.81", selector: { app: "nobody" } }, "empty"),
      service({ clusterIP: "None" }, "headless"),
    ],
    [pod("a", ["10.88.0.2", "fd12::1:2"]), pod("b", ["10.88.0.3"])],
  ),
  serviceRanges: [ranges.v4, ranges.v6 as Cidr],
  podRanges: ["10.88.0.0/20", "fd12::1:0/112"] as Cidr[],
  bridge: "podtap0",
  podAddresses: ["10.88.0.2", "10.77.0.9", "fd12::1:2"] as Ip[],
  hostPorts: [{ protocol: "UDP", port: 53 }],
};

test("the host's table reads as it is meant", () => {
  const text = renderTable(hostTables(input)[0] as ReturnType<typeof hostTables>[0]);
  assert.equal(
    text.replace(/svc-[0-9a-f]{16}/g, "svc"),
    `table ip podtap {
  counter pods-to-host { }

  counter services-without-endpoint { }

  map services {
    type ipv4_addr . inet_proto . inet_service : verdict
    elements = { 10.96.0.80 . tcp . 80 : goto svc, 10.96.0.80 . udp . 53 : goto svc }
  }

  set own-pods {
    type ipv4_addr
    flags interval
    elements = { 10.88.0.0/20 }
  }

  set pods {
    type ipv4_addr
    flags interval
    elements = { 10.88.0.0/20, 10.77.0.9/32 }
  }

  set host-ports {
    type inet_proto . inet_service
    elements = { udp . 53 }
  }

  chain svc {
    meta l4proto tcp dnat to numgen random mod 2 map { 0 : 10.88.0.2 . 8080, 1 : 10.88.0.3 . 8080 }
  }

  chain svc {
    meta l4proto udp dnat to numgen random mod 2 map { 0 : 10.88.0.2 . 53, 1 : 10.88.0.3 . 53 }
  }

  chain prerouting {
    type nat hook prerouting priority -100;
    ip daddr . meta l4proto . th dport vmap @services
  }

  chain output {
    type nat hook output priority -100;
    ip daddr . meta l4proto . th dport vmap @services
  }

  chain postrouting {
    type nat hook postrouting priority 100;
    ct status dnat ip saddr @pods ip daddr @pods masquerade
    ip saddr @own-pods ip daddr != @pods ip daddr != 224.0.0.0/4 masquerade
  }

  chain from-pods {
    icmp type redirect drop
    ct state { established, related } accept
    meta l4proto icmp accept
    meta l4proto . th dport @host-ports accept
    counter name pods-to-host drop
  }

  chain input {
    type filter hook input priority 0;
    iifname "lo" accept
    iifname "podtap0" goto from-pods
    ip saddr @pods goto from-pods
  }

  chain filter-prerouting {
    type filter hook prerouting priority 0;
    meta l4proto tcp ip daddr 10.96.0.0/20 counter name services-without-endpoint reject with tcp reset
    ip daddr 10.96.0.0/20 counter name services-without-endpoint reject
  }

  chain filter-output {
    type filter hook output priority 0;
    oifname "podtap0" icmp type redirect drop
    meta l4proto tcp ip daddr 10.96.0.0/20 counter name services-without-endpoint reject with tcp reset
    ip daddr 10.96.0.0/20 counter name services-without-endpoint reject
  }
}
`,
  );
});

test("IPv6 has a table of its own, with one endpoint translated directly", () => {
  const text = renderTable(hostTables(input)[1] as ReturnType<typeof hostTables>[0]);
  assert.match(text, /fd12::2:80 \. tcp \. 80 : goto svc-/);
  assert.match(text, /meta l4proto tcp dnat to \[fd12::1:2\]:8080/);
  assert.match(text, /icmpv6 type \{ nd-router-advert, nd-redirect \} drop/);
  assert.doesNotMatch(text, /10\./);
});

test("without Services, bridge and IPv6 the tables still load", () => {
  const bare: HostTablesInput = {
    services: [],
    serviceRanges: [],
    podRanges: [],
    podAddresses: [],
    hostPorts: [],
  };
  for (const table of hostTables(bare)) {
    assert.ok(table.chains.every(({ rules }) => rules.every((rule) => !rule.includes("podtap0"))));
  }
  assert.throws(() => hostTables({ ...bare, bridge: 'x" accept' }), RangeError);
});

test("the same address and port of two Services is in the map once", () => {
  const twice = selectEndpoints([service(), service({}, "again")], [pod("a", ["10.88.0.2"])]);
  const [table] = hostTables({ ...input, services: twice });
  assert.equal(table?.sets[0]?.elements.length, 1);
});

test("only routes that are missing are added", () => {
  const all = [ranges.v4, "10.97.0.5/20" as Cidr];
  assert.deepEqual(missingRoutes(all, "podtap0", []), ["10.96.0.0/20", "10.97.0.0/20"]);
  const there = [{ destination: "10.96.0.0/20" as Cidr, link: "podtap0" }];
  assert.deepEqual(missingRoutes(all, "podtap0", there), ["10.97.0.0/20"]);
  assert.deepEqual(missingRoutes(all, "other0", there), ["10.96.0.0/20", "10.97.0.0/20"]);
});
