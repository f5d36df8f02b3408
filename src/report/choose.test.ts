import assert from "node:assert/strict";
import { test } from "node:test";
import { registry } from "../bindings/index.ts";
import type { NicSpec } from "../plan/binding.ts";
import { TYPICAL_FEATURES } from "../plan/host-features.ts";
import { type Asked, chooseBinding, WISHES, type Wish, wishesOf } from "./choose.ts";

const POD: NicSpec = {
  interface: { name: "default" },
  network: { name: "default", pod: {} },
  field: "spec.domain.devices.interfaces[0]",
  networkField: "spec.networks[0]",
  annotations: {},
};
const SECONDARY: NicSpec = { ...POD, network: { name: "blue", multus: { networkName: "blue" } } };

function ask(more: Partial<Asked>): ReturnType<typeof chooseBinding> {
  return chooseBinding(registry.all, undefined, {
    nic: POD,
    wishes: [],
    speed: false,
    features: TYPICAL_FEATURES,
    ...more,
  });
}

test("every binding is either advised or ruled out with a reason", () => {
  for (const nic of [POD, SECONDARY]) {
    for (const wish of Object.keys(WISHES) as Wish[]) {
      const choices = ask({ nic, wishes: [wish] });
      assert.deepEqual(
        choices.map(({ binding }) => binding).toSorted(),
        registry.all.map(({ bindingName }) => bindingName).toSorted(),
      );
      for (const { fits, against, price } of choices) {
        assert.equal(fits, against.length === 0);
        assert.ok(price.length > 0);
      }
      const order = choices.map(({ fits }) => fits);
      assert.deepEqual(
        order,
        order.toSorted((a, b) => Number(b) - Number(a)),
        "what fits comes first",
      );
    }
  }
});

test("a wish that a binding cannot grant rules it out, with the reason", () => {
  for (const { binding, fits, against } of ask({ wishes: ["direct"] })) {
    const traits = registry.all.find(({ bindingName }) => bindingName === binding)?.traits;
    if (traits?.podAddress === "natted") {
      assert.equal(fits, false);
      assert.match(against.join(), /declared ports only/);
    }
  }
});

test("with speed wished the shortest path comes first", () => {
  const order = ["redirected", "lower-device", "bridged", "translated", "user-space"];
  const ranks = ask({ speed: true })
    .filter(({ fits }) => fits)
    .map(({ binding }) => registry.all.find(({ bindingName }) => bindingName === binding)?.traits.path ?? "");
  assert.deepEqual(
    ranks.map((path) => order.indexOf(path)),
    ranks.map((path) => order.indexOf(path)).toSorted((a, b) => a - b),
  );
});

test("what the host lacks rules out", () => {
  const bare = { ...TYPICAL_FEATURES, classifiers: [], macvtap: false };
  for (const binding of registry.all.filter((one) => one.lacking(bare) !== undefined)) {
    const choice = ask({ features: bare }).find((one) => one.binding === binding.bindingName);
    assert.equal(choice?.fits, false);
    assert.match(choice?.against.join() ?? "", /^this host: /);
  }
});

test("a manifest's own wishes are heard", () => {
  const told = wishesOf({
    metadata: { annotations: { "sidecar.istio.io/inject": "True" } },
    spec: { evictionStrategy: "LiveMigrate" },
  });
  assert.deepEqual(
    told.map(({ wish }) => wish),
    ["migration", "pod-stack"],
  );
});
