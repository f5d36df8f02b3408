/** A pod wired by masquerade (wired-pod.ts), its guest with addresses of both families. */
import { type VmiParts, vmi } from "./builders.ts";
import { udhcpc } from "./namespace-guest.ts";
import { eventually } from "./netns.ts";
import { type Scope, type WiredPod, wiredPod } from "./wired-pod.ts";

export const GUEST = { v4: "10.0.2.2", v6: "fd10:0:2::2" } as const;

export type MasqueradePod = WiredPod;

export async function masqueradePod(
  t: Scope,
  parts: VmiParts,
  options: { readonly mtu?: number } = {},
): Promise<MasqueradePod> {
  const it = await wiredPod(t, vmi(parts), options);
  await udhcpc(it.guest);
  await eventually("an IPv6 default route by router advertisement", async () =>
    (await it.guest.read("ip", "-6", "route", "show", "default")).includes("fe80::1") ? true : undefined,
  );
  // What DHCPv6 gives; the clients themselves are tested in guest-services.test.ts.
  await it.guest.read("ip", "address", "add", `${GUEST.v6}/128`, "dev", "eth0", "nodad");
  return it;
}
