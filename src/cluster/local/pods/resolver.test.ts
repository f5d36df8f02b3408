import assert from "node:assert/strict";
import { test } from "node:test";
import { hostResolver, parseResolvConf, podResolver, renderResolvConf } from "./resolver.ts";

test("resolv.conf is read as glibc reads it", () => {
  const text =
    "# c\nnameserver 10.0.0.1 # one\nnameserver fe80::1%eth0\nnameserver 10.0.0.256\nnameserver FD00::A\nsearch a.b\noptions ndots:5\nsearch Example.ORG. .\n";
  assert.deepEqual(parseResolvConf(text), {
    nameservers: ["10.0.0.1", "fd00::a"],
    searchDomains: ["example.org"],
  });
});

test("a stub on the host's loopback is replaced by what is behind it", () => {
  assert.deepEqual(hostResolver("nameserver 127.0.0.53\n", "nameserver 9.9.9.9\nsearch lan\n"), {
    nameservers: ["9.9.9.9"],
    searchDomains: ["lan"],
  });
  assert.deepEqual(hostResolver("nameserver 127.0.0.53\n", undefined).nameservers, []);
  assert.deepEqual(hostResolver("nameserver 9.9.9.9\nnameserver ::1\n", "nameserver 1.1.1.1\n").nameservers, [
    "9.9.9.9",
  ]);
});

test("the manifest's dnsPolicy and dnsConfig", () => {
  const host = parseResolvConf("nameserver 10.0.0.1\nsearch lan\n");
  const dnsConfig = { nameservers: ["10.1.1.1", "10.0.0.1"], searches: ["x.y"] };
  assert.deepEqual(podResolver({}, host), host);
  assert.equal(
    renderResolvConf(podResolver({ dnsConfig }, host)),
    "nameserver 10.0.0.1\nnameserver 10.1.1.1\nsearch lan x.y\n",
  );
  assert.equal(
    renderResolvConf(podResolver({ dnsPolicy: "None", dnsConfig }, host)),
    "nameserver 10.1.1.1\nnameserver 10.0.0.1\nsearch x.y\n",
  );
});
