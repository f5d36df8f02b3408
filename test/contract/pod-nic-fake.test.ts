import { fakeKernel } from "../../src/linux/fake/kernel.ts";
import { podLink } from "../support/builders.ts";
import { podNicContract } from "./pod-nic.contract.ts";

podNicContract(
  "fake kernel",
  () => ({ kernel: fakeKernel({ links: [podLink([], { index: 0 })] }), close: () => undefined }),
  { park: "dummy" },
);
