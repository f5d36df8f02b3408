import { fakeKernel } from "../../src/linux/fake/kernel.ts";
import { podLink } from "../support/builders.ts";
import { bindingContract } from "./binding.contract.ts";

bindingContract("fake kernel", (addresses) => ({
  kernel: fakeKernel({ links: [podLink(addresses, { index: 0 })] }),
  close: () => undefined,
}));
