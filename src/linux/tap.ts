/**
 * Taps (Documentation/networking/tuntap.rst): made through /dev/net/tun, because rtnetlink cannot (EOPNOTSUPP).
 * Call inside the namespace's window.
 */
import { closeSync, constants, openSync } from "node:fs";
import { inKernelWords } from "./errno.ts";
import { ioctl, ioctlValue } from "./libc.ts";

const TUNSETIFF = 0x400454ca;
const TUNSETPERSIST = 0x400454cb;
const TUNSETOWNER = 0x400454cc;
const TUNSETGROUP = 0x400454ce;
const IFF_TAP = 0x0002;
const IFF_MULTI_QUEUE = 0x0100;
const IFF_NO_PI = 0x1000;
const IFF_VNET_HDR = 0x4000;
/** `struct ifreq`: a name of 16 bytes, then a union of 24. */
const IFREQ = 40;

export interface TapOptions {
  readonly name: string;
  /** Who may attach to it, as user and as group at once: the kernel asks for both. */
  readonly uid: number;
  readonly multiQueue: boolean;
}

/**
 * Makes a persistent tap. `mark` runs while the tap still goes away with its descriptor, so that no crash leaves
 * one without podtap's mark.
 */
export function makeTap({ name, uid, multiQueue }: TapOptions, mark: () => void): void {
  const fd = inKernelWords(
    "open",
    "/dev/net/tun",
    () => openSync("/dev/net/tun", constants.O_RDWR),
    "podtap makes taps as root; in a container, pass the device /dev/net/tun in",
  );
  try {
    const request = new Uint8Array(IFREQ);
    request.set(new TextEncoder().encode(name).subarray(0, 15));
    const flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | (multiQueue ? IFF_MULTI_QUEUE : 0);
    new DataView(request.buffer).setUint16(16, flags, true);
    ioctl(fd, TUNSETIFF, request, "make the tap", name);
    ioctlValue(fd, TUNSETOWNER, uid, `give to user ${uid} the tap`, name);
    ioctlValue(fd, TUNSETGROUP, uid, `give to group ${uid} the tap`, name);
    mark();
    ioctlValue(fd, TUNSETPERSIST, 1, "keep the tap", name);
  } finally {
    closeSync(fd);
  }
}
