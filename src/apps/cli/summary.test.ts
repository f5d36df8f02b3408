import assert from "node:assert/strict";
import { test } from "node:test";
import { vmi } from "../../../test/support/builders.ts";
import type { Service, Vmi } from "../../api/types.ts";
import { summary } from "./summary.ts";

const running: Vmi = {
  ...vmi({
    nic: {
      ports: [
        { name: "http", port: 80 },
        { port: 53, protocol: "UDP" },
      ],
    },
  }),
  status: {
    phase: "Running",
    accelerator: { type: "tcg", reason: "there is no /dev/kvm" },
    interfaces: [
      {
        name: "default",
        mac: "02:00:00:00:00:01",
        binding: "masquerade",
        addresses: [
          { ip: "10.244.1.7", owner: "pod", source: "cni" },
          { ip: "fd00:10:244:1::7", owner: "pod", source: "cni" },
          { ip: "10.0.2.2", owner: "guest", source: "plan" },
          { ip: "10.0.2.2", owner: "guest", source: "dhcp" },
        ],
      },
    ],
  },
};
const service: Service = {
  apiVersion: "v1",
  kind: "Service",
  metadata: { name: "web", namespace: "default" },
  spec: {
    clusterIPs: ["10.96.4.5", "fd00:96::45"],
    ports: [
      { name: "http", port: 80 },
      { name: "dns", port: 53, protocol: "UDP", targetPort: 5353 },
    ],
  },
};

test("the summary says how it runs, what to dial, and what to type next", () => {
  const text = summary({
    vmi: running,
    services: [service],
    tookMs: 2840,
    login: "demo@",
    program: "bin/podtap",
  });
  assert.equal(
    text,
    `web is running after 2.8s, on tcg (there is no /dev/kvm)
  nic default  masquerade  02:00:00:00:00:01
               pod    10.244.1.7  fd00:10:244:1::7   (dial this)
               guest  10.0.2.2   (inside the VM)
               ports  80/TCP http, 53/UDP
  service web  http 80/TCP -> 80, dns 53/UDP -> 5353
               curl http://10.96.4.5/
               10.96.4.5 port 53
               curl http://[fd00:96::45]/
               fd00:96::45 port 53
  next         bin/podtap ssh demo@web
               bin/podtap console web
               bin/podtap describe vmi web
`,
  );
});

test("a VM in another namespace is named with it, and one without ports says so", () => {
  const other = vmi();
  const text = summary({
    vmi: { ...other, metadata: { ...other.metadata, namespace: "lab" }, status: running.status ?? {} },
    services: [],
    login: "",
    program: "podtap",
  });
  assert.match(text, /^web is running on tcg/);
  assert.match(text, /ports {2}none declared/);
  assert.match(text, /podtap ssh -n lab web/);
});

test("without root the host's ports are what to dial", () => {
  const [nic] = running.status?.interfaces ?? [];
  const hostPorts = [
    { protocol: "tcp", listen: "127.0.0.1", host: 8080, start: 80, end: 80 },
    { protocol: "udp", listen: "::1", host: 10053, start: 53, end: 53 },
  ] as const;
  const text = summary({
    vmi: { ...running, status: { ...running.status, interfaces: [{ ...nic, hostPorts }] } },
    services: [],
    login: "",
    program: "podtap --rootless",
  });
  assert.match(text, /host {3}10\.244\.1\.7/);
  assert.match(text, /ports {2}127\.0\.0\.1:8080 -> 80\/TCP, \[::1\]:10053 -> 53\/UDP\n/);
  assert.match(text, /podtap --rootless console web/);
});
