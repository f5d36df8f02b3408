import assert from "node:assert/strict";
import { test } from "node:test";
import { ApiError } from "../api-error.ts";
import { humanDuration } from "./human-duration.ts";
import { findResource, resourcePath } from "./resources.ts";
import { parseLabelSelector } from "./selectors.ts";

test("label selectors are Kubernetes'", () => {
  const labels = { app: "web", tier: "front", "podtap.io/vm": "a", n: "5", empty: "" };
  const cases: readonly (readonly [string, boolean])[] = [
    ["", true],
    ["app=web", true],
    ["app==web,tier=front", true],
    ["app = web , tier = front", true],
    ["app!=web", false],
    ["none!=web", true],
    ["app in (web, db)", true],
    ["app in (db)", false],
    ["app notin (db)", true],
    ["none notin (db)", true],
    ["none in (db)", false],
    ["app", true],
    ["!app", false],
    ["!none", true],
    ["podtap.io/vm=a", true],
    ["n>4,n<6", true],
    ["n>5", false],
    ["app>5", false],
    ["empty=", true],
    ["app in (web),!none,tier!=back", true],
  ];
  for (const [selector, selected] of cases) {
    assert.equal(parseLabelSelector(selector)(labels), selected, selector);
  }
  for (const bad of ["=web", "app in web", "app in (web", "a b", "!!app", "app=web=db", "-a=b", "app=üü"]) {
    assert.throws(() => parseLabelSelector(bad), ApiError, bad);
  }
});

test("ages are as kubectl shows them", () => {
  const s = 1000;
  const [m, h, d] = [60 * s, 3600 * s, 24 * 3600 * s];
  const cases: readonly (readonly [number, string])[] = [
    [-2 * s, "<invalid>"],
    [0, "0s"],
    [119 * s, "119s"],
    [2 * m, "2m"],
    [2 * m + 5 * s, "2m5s"],
    [9 * m + 59 * s, "9m59s"],
    [10 * m + 59 * s, "10m"],
    [179 * m, "179m"],
    [3 * h, "3h"],
    [3 * h + 5 * m, "3h5m"],
    [8 * h + 5 * m, "8h"],
    [47 * h, "47h"],
    [2 * d, "2d"],
    [2 * d + 3 * h, "2d3h"],
    [8 * d + 3 * h, "8d"],
    [729 * d, "729d"],
    [730 * d, "2y"],
    [3 * 365 * d + 5 * d, "3y5d"],
    [9 * 365 * d + 5 * d, "9y"],
  ];
  for (const [milliseconds, text] of cases) assert.equal(humanDuration(milliseconds), text);
});

test("kinds are found by every name people use", () => {
  const kind = (typed: string): string | undefined => findResource(typed)?.kind;
  for (const typed of [
    "vm",
    "vms",
    "VirtualMachine",
    "virtualmachines",
    "virtualmachine.kubevirt.io",
    "vm.v1.kubevirt.io",
  ]) {
    assert.equal(kind(typed), "VirtualMachine", typed);
  }
  assert.equal(kind("vmi"), "VirtualMachineInstance");
  assert.equal(kind("net-attach-def"), "NetworkAttachmentDefinition");
  assert.equal(kind("svc"), "Service");
  assert.equal(kind("pods.kubevirt.io"), undefined);
  assert.equal(kind("deployments"), undefined);
});

test("paths encode what they are given", () => {
  const pods = findResource("pods");
  assert.ok(pods);
  assert.equal(
    resourcePath(pods, { namespace: "a/b", name: "../c", subresource: "log/x" }),
    "/api/v1/namespaces/a%2Fb/pods/..%2Fc/log/x",
  );
});
