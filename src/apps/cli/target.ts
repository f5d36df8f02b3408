/** How people name a VM on the command line: `web`, `vmi/web`, `vm/web`, `web.prod` is a name too. */
import { usageError } from "./failure.ts";

export interface Target {
  readonly kind: "vm" | "vmi";
  readonly name: string;
}

const KINDS: Readonly<Record<string, Target["kind"]>> = {
  vm: "vm",
  vms: "vm",
  virtualmachine: "vm",
  virtualmachines: "vm",
  vmi: "vmi",
  vmis: "vmi",
  virtualmachineinstance: "vmi",
  virtualmachineinstances: "vmi",
};
/** RFC 1123 subdomain, what KubeVirt accepts for a VM. */
const NAME = /^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$/;

/** A bare name is a VM and its instance, which are called the same. */
export function parseTarget(text: string): Target {
  const slash = text.indexOf("/");
  const kind = slash < 0 ? "vmi" : KINDS[text.slice(0, slash).toLowerCase()];
  const name = text.slice(slash + 1);
  if (kind === undefined)
    throw usageError(`${text}: what is before the slash is no VM`, "write vm/NAME or vmi/NAME");
  if (!isObjectName(name))
    throw usageError(`'${name}' is not a name of a VM`, "podtap get lists those that exist");
  return { kind, name };
}

function isObjectName(name: string): boolean {
  return name.length <= 253 && NAME.test(name);
}

/** `NAME`, `USER@NAME`, `USER@vmi/NAME`. */
export function parseLogin(text: string): { readonly user?: string; readonly name: string } {
  const at = text.lastIndexOf("@");
  const user = at < 0 ? undefined : text.slice(0, at);
  // ssh takes a word that begins with a dash for an option, wherever it stands.
  if (user !== undefined && !isUserName(user)) throw usageError(`'${user}' is not a user name`);
  return { ...(user !== undefined && { user }), name: parseTarget(text.slice(at + 1)).name };
}

export function isUserName(user: string): boolean {
  return /^[A-Za-z0-9_][A-Za-z0-9_.@\\-]*\$?$/.test(user);
}
