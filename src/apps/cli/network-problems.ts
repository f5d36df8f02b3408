/**
 * What cannot work by what a manifest's networks are made by: known before anything runs where the NADs are in the
 * same files. Each binding judges its own NIC; what several networks want of the host is judged here.
 */
import { type LoadedObject, toProblem } from "../../api/load.ts";
import { formatPath, type Path } from "../../api/path.ts";
import { PodtapError } from "../../base/errors.ts";
import type { Problem } from "../../base/problem.ts";
import { registry } from "../../bindings/index.ts";
import { deviceTakenTwice } from "../../cluster/local/cni/requested-networks.ts";
import { bindNics } from "../../plan/planner.ts";
import { inNamespace, isMachine } from "./objects.ts";
import { type KnownNetworks, knownNetworks } from "./plan-networks.ts";
import { vmisOf } from "./vmis-of.ts";

/** Of valid manifests. */
export async function networkProblems(
  loaded: readonly LoadedObject[],
  namespace: string,
): Promise<readonly Problem[]> {
  const objects = loaded.map(({ object }) => inNamespace(object, namespace));
  const machines = loaded.filter(({ object }) => isMachine(object));
  return (await Promise.all(machines.map((one) => problemsOf(one, objects, namespace)))).flat();
}

type Vmi = ReturnType<typeof vmisOf>[number];

async function problemsOf(
  loaded: LoadedObject,
  objects: Parameters<typeof knownNetworks>[1],
  namespace: string,
): Promise<readonly Problem[]> {
  const { object } = loaded;
  const [vmi] = vmisOf([inNamespace(object, namespace)]);
  if (vmi === undefined) return [];
  const spec: Path = object.kind === "VirtualMachine" ? ["spec", "template", "spec"] : ["spec"];
  const label = `${object.kind}/${object.metadata.name}`;
  const at = (path: Path, problem: Problem): Problem => {
    const { at: _, object: __, ...facts } = problem;
    const place = [...spec, ...path];
    return toProblem({ ...facts, at: place, field: formatPath(place) }, label, loaded);
  };
  try {
    const known = await knownNetworks(vmi, objects, undefined);
    const shared = deviceTakenTwice(
      [...known.networks].flatMap(([name, network]) => (network ? [{ name, network }] : [])),
    );
    return [
      ...nicProblems(vmi, known).map(({ index, problem }) =>
        at(["domain", "devices", "interfaces", index], problem),
      ),
      ...(shared === undefined ? [] : [at(["networks"], asProblem(shared))]),
    ];
  } catch (thrown) {
    // A NAD that no VM could be attached to.
    if (thrown instanceof PodtapError) return [at(["networks"], asProblem(thrown))];
    throw thrown;
  }
}

function nicProblems(
  { spec, metadata }: Vmi,
  { attachments }: KnownNetworks,
): readonly { readonly index: number; readonly problem: Problem }[] {
  const bound = bindNics(spec, metadata.annotations ?? {}, registry, attachments);
  if (!bound.ok) return [];
  return bound.value.flatMap((nic) =>
    nic.binding.validate(nic).map((problem) => ({ index: nic.index, problem })),
  );
}

function asProblem({ code, message, hint }: PodtapError): Problem {
  return {
    code: code as Problem["code"],
    severity: "error",
    reason: "FieldValueInvalid",
    field: "spec.networks",
    message,
    ...(hint !== undefined && { hint }),
  };
}
