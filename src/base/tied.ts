/**
 * What goes before the command line of a helper that must not outlive the process that started it: the kernel kills
 * it when that process ends, however it ends (prctl(2), PR_SET_PDEATHSIG). Without, a daemon that was killed would
 * be survived by a CNI plugin that still changes what the next daemon is taking down.
 */
export const TIED_TO_PARENT = ["/usr/bin/setpriv", "--pdeathsig", "KILL", "--"] as const;
