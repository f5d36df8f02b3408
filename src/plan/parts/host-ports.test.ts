import assert from "node:assert/strict";
import { test } from "node:test";
import type { Ip } from "../../base/ip.ts";
import type { NicContext } from "../binding.ts";
import { dialHostPort, hostPortNotes, hostPortsOf, hostPortText } from "./host-ports.ts";
import type { OpenPorts } from "./inbound.ts";

const ROOTLESS = { link: "wlan0", listen: "127.0.0.1" as string as Ip, firstPort: 1024 };
const OPEN: OpenPorts["ports"] = [
  { protocol: "tcp", start: 80, end: 80 },
  { protocol: "tcp", start: 8000, end: 8004 },
  { protocol: "udp", start: 53, end: 53 },
];

test("a declared port is the host's own, or moved where it is root's", () => {
  assert.deepEqual(texts(""), [
    "127.0.0.1:10080 -> 80/TCP",
    "127.0.0.1:8000-8004 -> 8000-8004/TCP",
    "127.0.0.1:10053 -> 53/UDP",
  ]);
  assert.deepEqual(texts("", "all"), []);
});

test("an annotation says which port of the host it is, and on which addresses", () => {
  assert.deepEqual(texts("8080:80, *:9002:8002, [::1]:5353:53/udp"), [
    "127.0.0.1:8080 -> 80/TCP",
    "*:9002 -> 8002/TCP",
    "[::1]:5353 -> 53/UDP",
    "127.0.0.1:8000-8001 -> 8000-8001/TCP",
    "127.0.0.1:8003-8004 -> 8003-8004/TCP",
  ]);
  // One port of the guest may have several of the host's.
  assert.deepEqual(texts("8080:80,[::1]:8081:80").slice(0, 2), [
    "127.0.0.1:8080 -> 80/TCP",
    "[::1]:8081 -> 80/TCP",
  ]);
});

test("host ports that cannot be are refused", () => {
  assert.match(refused("80"), /cannot be read at '80'/);
  assert.match(refused("8080:80/sctp"), /cannot be read/);
  assert.match(refused("300.1.1.1:8080:80"), /cannot be read/);
  assert.match(refused("0:80"), /cannot be read/);
  assert.match(refused("8080:443"), /names port 443\/tcp, which interface default does not declare/);
  assert.match(refused("443:80"), /would take port 443 of the host, and users have 1024 to 65535/);
  assert.match(refused("8001:80"), /would take port 8001 of the host twice/);
});

test("a port of the guest is dialled where it is listened on", () => {
  const ports = portsOf("*:9002:8002,[::1]:8081:80");
  assert.deepEqual(dialHostPort(ports, "tcp", 8002), [{ ip: "127.0.0.1", port: 9002 }]);
  assert.deepEqual(dialHostPort(ports, "tcp", 80), [{ ip: "::1", port: 8081 }]);
  assert.deepEqual(dialHostPort(ports, "tcp", 8004), [{ ip: "127.0.0.1", port: 8004 }]);
  assert.deepEqual(dialHostPort(ports, "tcp", 22), []);
});

test("what differs from a pod is noted", () => {
  const notes = (ports: OpenPorts["ports"]) =>
    hostPortNotes(nicWith(""), { ports, meshed: false, meshPorts: [] });
  assert.match(notes(OPEN).join(), /ports below 1024 are root's/);
  assert.match(notes("all").join(), /none is declared/);
  assert.deepEqual(notes([{ protocol: "tcp", start: 8080, end: 8080 }]), []);
});

function nicWith(annotation: string): NicContext {
  const annotations = annotation === "" ? {} : { "podtap.io/host-ports": annotation };
  return { interface: { name: "default" }, annotations, vm: { rootless: ROOTLESS } } as unknown as NicContext;
}

function portsOf(annotation: string, open: OpenPorts["ports"] = OPEN) {
  const result = hostPortsOf(nicWith(annotation), ROOTLESS, open);
  assert.ok(result.ok, JSON.stringify(result));
  return result.value;
}

function texts(annotation: string, open: OpenPorts["ports"] = OPEN): readonly string[] {
  return portsOf(annotation, open).map(hostPortText);
}

function refused(annotation: string): string {
  const result = hostPortsOf(nicWith(annotation), ROOTLESS, OPEN);
  assert.ok(!result.ok);
  return result.problems[0]?.message ?? "";
}
