import assert from "node:assert/strict";
import {
  existsSync,
  mkdtempSync,
  promises,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { createNetns, deleteNetns, inNetns, listNetns, openNetns } from "../../src/linux/netns.ts";
import { requires, testPod } from "../support/netns.ts";

const needs = requires("root", "ip");
const here = (): string => readlinkSync("/proc/thread-self/ns/net");

test("a window is another network, and over when the function is", needs, (t) => {
  const pod = testPod(t);
  const home = here();
  const inside = inNetns(pod.path, here);
  assert.notEqual(inside, home);
  assert.equal(here(), home);
  assert.equal(pod.run("readlink", "/proc/self/ns/net").trim(), inside);
});

test("a window inside a window comes back to the outer one", needs, (t) => {
  const [one, two] = [testPod(t, "one"), testPod(t, "two")];
  inNetns(one.path, () => {
    const outer = here();
    assert.notEqual(inNetns(two.path, here), outer);
    assert.equal(here(), outer);
  });
});

test("a throwing window comes back", needs, (t) => {
  const pod = testPod(t);
  const home = here();
  assert.throws(() => inNetns(pod.path, () => assert.fail("inside")), /inside/);
  assert.equal(here(), home);
});

test("asynchronous work in a window is refused", needs, (t) => {
  const pod = testPod(t);
  const home = here();
  assert.throws(() => inNetns(pod.path, () => Promise.resolve()), { code: "PT-NETNS-1" });
  assert.equal(here(), home);
});

test("file reads of other threads never see a window's network", needs, async (t) => {
  const pod = testPod(t);
  const home = readFileSync("/proc/thread-self/net/route", "utf8");
  const fd = openNetns(pod.path);
  const reads: Promise<string>[] = [];
  for (let i = 0; i < 50; i++) {
    inNetns(fd, () => reads.push(promises.readFile("/proc/thread-self/net/route", "utf8")) > 0);
  }
  for (const text of await Promise.all(reads)) assert.equal(text, home);
});

test("a named namespace is made with lo up, listed and deleted", needs, (t) => {
  const folder = mkdtempSync(join(tmpdir(), "podtap-netns-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const path = join(folder, "pods", "web");
  createNetns(path);
  t.after(() => deleteNetns(path));
  writeFileSync(join(folder, "pods", "leftover"), "");
  assert.deepEqual(listNetns(join(folder, "pods")), ["web"]);
  assert.match(
    inNetns(path, () => readFileSync("/proc/thread-self/net/if_inet6", "utf8")),
    /^0{31}1 01 80 10 80/,
  );
  assert.throws(() => createNetns(path), { code: "PT-KERNEL-17" });
  deleteNetns(path);
  assert.deepEqual(readdirSync(join(folder, "pods")), ["leftover"]);
  deleteNetns(path);
  assert.ok(!existsSync(path));
  assert.ok(!readFileSync("/proc/self/mounts", "utf8").includes(path));
});

test("a namespace that cannot be made leaves no file", needs, () => {
  assert.throws(() => createNetns("/proc/podtap-cannot"), { code: /^PT-KERNEL-/ });
  assert.ok(!existsSync("/proc/podtap-cannot"));
});
