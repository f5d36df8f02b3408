/** The files of /etc that are the sandbox's own. Pure text. */

export interface EtcInput {
  readonly hostname: string;
  readonly resolvConf: string;
  readonly uid: number;
  readonly gid: number;
}

/** By name below /etc. libvirtd needs the user's entry: without it "Failed to find user record". */
export function etcFiles(input: EtcInput): Readonly<Record<string, string>> {
  const { hostname, uid, gid } = input;
  return {
    hostname: `${hostname}\n`,
    hosts: [
      "127.0.0.1 localhost",
      "::1 localhost ip6-localhost ip6-loopback",
      "fe00::0 ip6-localnet",
      "fe00::0 ip6-mcastprefix",
      "fe00::1 ip6-allnodes",
      "fe00::2 ip6-allrouters",
      `127.0.1.1 ${hostname}`,
      "",
    ].join("\n"),
    "resolv.conf": input.resolvConf.endsWith("\n") ? input.resolvConf : `${input.resolvConf}\n`,
    passwd: [
      "root:x:0:0:root:/:/usr/sbin/nologin",
      `qemu:x:${uid}:${gid}:qemu:/:/usr/sbin/nologin`,
      "nobody:x:65534:65534:nobody:/:/usr/sbin/nologin",
      "",
    ].join("\n"),
    group: ["root:x:0:", "tty:x:5:", `qemu:x:${gid}:`, "nogroup:x:65534:", ""].join("\n"),
    // What the host's file asks (sssd, systemd) is not reachable from inside.
    "nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
  };
}
