/**
 * `podtap dumpxml`: the domain of a running VM as libvirt has it, or, with -f and without a daemon, the domain that a
 * manifest leads to. There only the paths of disks and sockets are made up, since nothing was prepared.
 */
import type { Vmi } from "../../api/types.ts";
import type { DomainDisk } from "../../domain/devices.ts";
import { planDomain } from "../../domain/domain.ts";
import { toXml } from "../../domain/xml.ts";
import { connect, ownPath } from "./connect.ts";
import type { Context } from "./context.ts";
import { EXIT, type ExitCode, usageError } from "./failure.ts";
import { loadValid } from "./load-valid.ts";
import { EXAMPLE, readSurroundings } from "./plan-input.ts";
import { planManifest } from "./plan-manifest.ts";
import { exampleFor, knownNetworks } from "./plan-networks.ts";
import { parseTarget } from "./target.ts";
import { vmisOf } from "./vmis-of.ts";

export interface DumpXmlOptions {
  readonly namespace: string;
  readonly filename?: readonly string[];
  readonly observed?: string;
}

export async function dumpXml(
  context: Context,
  name: string | undefined,
  options: DumpXmlOptions,
): Promise<ExitCode> {
  const xml =
    options.filename === undefined
      ? await running(context, name, options)
      : await planned(context, name, options);
  context.terminal.out(xml.endsWith("\n") ? xml : `${xml}\n`);
  return EXIT.done;
}

async function running(context: Context, name: string | undefined, options: DumpXmlOptions): Promise<string> {
  if (name === undefined) throw usageError("no VM named", "podtap dumpxml NAME, or podtap dumpxml -f FILE");
  const target = parseTarget(name);
  const client = connect(context);
  const path = ownPath(options.namespace, target.name, "domainxml");
  return String((await client.request(path, { accept: "application/xml, text/plain" })).body);
}

async function planned(context: Context, name: string | undefined, options: DumpXmlOptions): Promise<string> {
  const objects = await loadValid(context, options.filename ?? [], options.namespace);
  const vmis = vmisOf(objects);
  const wanted =
    name === undefined ? vmis : vmis.filter((vmi) => vmi.metadata.name === parseTarget(name).name);
  const [vmi, ...more] = wanted;
  if (vmi === undefined) throw usageError("no such VM in these manifests");
  if (more.length > 0)
    throw usageError("several VMs in these manifests", "name one: podtap dumpxml NAME -f FILE");
  const { terminal } = context;
  terminal.note(
    terminal.paint("dim", "paths of disks, kernel and sockets are EXAMPLES: nothing is prepared\n"),
  );
  const surroundings =
    options.observed === undefined
      ? exampleFor(vmi, await knownNetworks(vmi, objects, undefined), EXAMPLE)
      : await readSurroundings(options.observed);
  const boot = vmi.spec.domain.firmware?.kernelBoot;
  return toXml(
    planDomain({
      vmi,
      nics: planManifest(vmi, surroundings).nics.map(({ domain }) => domain),
      disks: exampleDisks(vmi),
      ...(boot?.container && {
        kernel: {
          ...(boot.container.kernelPath && { kernelPath: `/example${boot.container.kernelPath}` }),
          ...(boot.container.initrdPath && { initrdPath: `/example${boot.container.initrdPath}` }),
          ...(boot.kernelArgs && { args: boot.kernelArgs }),
        },
      }),
      accelerator: { type: "kvm", reason: "not asked" },
      consoleSocket: "/example/console.sock",
      agentSocket: "/example/agent.sock",
      nicSocketFolder: "/example",
    }),
  );
}

function exampleDisks({ spec }: Vmi): readonly DomainDisk[] {
  return (spec.domain.devices.disks ?? []).map((disk) => {
    const volume = spec.volumes?.find(({ name }) => name === disk.name);
    const device = disk.cdrom ? "cdrom" : disk.lun ? "lun" : "disk";
    const target = disk.disk ?? disk.cdrom ?? disk.lun ?? {};
    const layered = volume?.containerDisk !== undefined || volume?.emptyDisk !== undefined;
    return {
      name: disk.name,
      device,
      bus: target.bus ?? "sata",
      format: layered ? "qcow2" : "raw",
      path: `/example/${disk.name}`,
      readonly: target.readonly ?? device === "cdrom",
      ...(disk.bootOrder !== undefined && { bootOrder: disk.bootOrder }),
      ...(disk.serial !== undefined && { serial: disk.serial }),
      ...(disk.cache !== undefined && { cache: disk.cache }),
      ...(target.pciAddress !== undefined && { pciAddress: target.pciAddress }),
    } as const;
  });
}
