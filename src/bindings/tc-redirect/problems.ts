/** What cannot be redirected, and what to take instead. */
import type { Problem } from "../../base/problem.ts";
import type { NicSpec } from "../../plan/binding.ts";

export function noClassifier(nic: NicSpec): Problem {
  return {
    code: "PT-REDIRECT-1",
    severity: "error",
    reason: "FieldValueNotSupported",
    field: nic.field,
    message:
      "this host's kernel cannot redirect frames: it has no classifier of bpf, matchall and u32 with mirred",
    hint: "use `bridge: {}`, which gives the guest the pod's address too; `podtap doctor` lists what this kernel has",
  };
}

export function noEthernet(nic: NicSpec): Problem {
  return {
    code: "PT-REDIRECT-2",
    severity: "error",
    reason: "FieldValueNotSupported",
    field: nic.field,
    message: `the pod interface of network ${nic.network.name} has no MAC address that the guest could take`,
    hint: "frames are redirected between Ethernet links only; for others use masquerade or passt",
  };
}
