/**
 * Who may ask for passt, and where: rules 15, 16 and C2 of KubeVirt (`passt.go`, `discontinued.go`). Its sidecar
 * plugin of the same name (`binding: {name: passt}`) wires the same, so it means the same here.
 */
import type { BindingAdmission } from "../../api/binding-admission.ts";

export const passtAdmission: BindingAdmission = {
  method: "passtBinding",
  spelledBy: "key",
  names: ["passt"],
  old: {
    key: "passt",
    code: "PT-C-2",
    message: "Passt network binding has been discontinued since v1.3",
    gate: "Passt",
  },
  title: "PasstBinding",
  networks: "pod",
  networkCode: "PT-NET-16",
  gate: { name: "PasstBinding", onByDefault: true, code: "PT-NET-15" },
  states: ["up", "down"],
  ports: "allow-list",
  // KubeVirt passes single ports on only (rule 40).
  portRanges: "podtap",
  dhcpOptions: false,
  resourceClaims: false,
};
