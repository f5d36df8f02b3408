/** What the API lets in: validated, and Services with their addresses. */
import type { KubeObject } from "../../api/object.ts";
import type { Settings } from "../../api/settings.ts";
import type { Service } from "../../api/types.ts";
import { admitObject } from "../../api/validate.ts";
import { isError, type Problem } from "../../base/problem.ts";
import { failed, ok, type Result } from "../../base/result.ts";
import type { NetworkRanges } from "../../cluster/local/cni/pod-ranges.ts";
import type { Admission } from "../../cluster/local/objects.ts";
import { allocateClusterIps } from "../../cluster/local/services/cluster-ip.ts";

/** Kinds that users write; pods and events are the daemon's own. */
const VALIDATED = new Set([
  "VirtualMachine",
  "VirtualMachineInstance",
  "NetworkAttachmentDefinition",
  "Service",
  "Secret",
  "ConfigMap",
]);

export function validation(settings: Settings): Admission {
  return (object, old) => {
    // Metadata alone (a finalizer, a label) and status are written by controllers, too.
    if (!VALIDATED.has(object.kind) || (old !== undefined && sameContent(object, old))) return ok(object);
    if (old !== undefined && object.kind === "VirtualMachineInstance") return failed(vmiIsFixed);
    const admitted = admitObject(withoutServerFields(object), settings);
    if (admitted.object === undefined || admitted.problems.some(isError)) return failed(...admitted.problems);
    const { status } = object;
    return ok({ ...admitted.object, ...(status !== undefined && { status }) }, admitted.problems);
  };
}

/** KubeVirt's words (`vmi-update-admitter.go`): what runs is changed by changing its VM. */
const vmiIsFixed: Problem = {
  code: "PT-VMI-1",
  severity: "error",
  reason: "FieldValueNotSupported",
  field: "spec",
  message: "update of VMI object is restricted",
  hint: "change the VirtualMachine and restart it, or delete the VMI and apply it anew",
};

export interface ServiceAddresses {
  /** Of all Services there are. */
  taken(): ReadonlySet<string>;
  readonly ranges: NetworkRanges["services"];
}

export function serviceAddresses({ taken, ranges }: ServiceAddresses): Admission {
  return (object, old): Result<KubeObject> => {
    if (object.kind !== "Service") return ok(object);
    const service = object as Service;
    const before = (old as Service | undefined)?.spec;
    // An address is given once and kept, also by an update that does not name it.
    if (
      before?.clusterIPs !== undefined &&
      service.spec.clusterIPs === undefined &&
      !service.spec.clusterIP
    ) {
      const { clusterIP, clusterIPs, ipFamilies } = before;
      return ok({
        ...service,
        spec: {
          ...service.spec,
          ...(clusterIP !== undefined && { clusterIP }),
          clusterIPs,
          ...(ipFamilies && { ipFamilies }),
        },
      });
    }
    if (sameSet(service.spec.clusterIPs, before?.clusterIPs)) return ok(object);
    const given = allocateClusterIps(service, ranges, taken());
    if (!given.ok) return given;
    const { clusterIPs, ipFamilies } = given.value;
    const [clusterIP] = clusterIPs;
    return ok({
      ...service,
      spec: {
        type: "ClusterIP",
        ...service.spec,
        ...(clusterIP !== undefined && { clusterIP, clusterIPs }),
        ipFamilies,
      },
    });
  };
}

function sameContent(a: KubeObject, b: KubeObject): boolean {
  const content = ({ metadata: _, status: __, ...rest }: KubeObject): string => JSON.stringify(rest);
  return content(a) === content(b);
}

/** What the server and the controllers wrote is not the user's spelling to be judged. */
function withoutServerFields({ status: _, ...object }: KubeObject): KubeObject {
  return object;
}

function sameSet(a: readonly string[] | undefined, b: readonly string[] | undefined): boolean {
  return a !== undefined && b !== undefined && a.join() === b.join();
}
