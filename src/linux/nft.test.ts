import assert from "node:assert/strict";
import { test } from "node:test";
import { nftError } from "./nft.ts";

const SCRIPT = "table ip podtap\ntable ip podtap {\n  chain c {\n    jump nowhere\n  }\n}\n";

test("a refused line is named with the reason", () => {
  const complaint = `/proc/self/fd/22:4:10-16: Error: Could not process rule: No such file or directory
    jump nowhere
         ^^^^^^^
`;
  const error = nftError(SCRIPT, complaint);
  assert.equal(
    error.message,
    'nftables refused "jump nowhere": Could not process rule: No such file or directory',
  );
  assert.equal(error.code, "PT-NFT-1");
  assert.match(error.hint ?? "", /not there/);
});

test("the first of several complaints counts", () => {
  const complaint =
    "/proc/self/fd/9:1:1-5: Error: syntax error, unexpected newline\n/proc/self/fd/9:2:1-5: Error: other\n";
  assert.match(nftError(SCRIPT, complaint).message, /"table ip podtap": syntax error, unexpected newline$/);
});

test("complaints without a place, and none at all, are told as they are", () => {
  assert.equal(
    nftError(SCRIPT, "netlink: Error: cache initialization failed: Operation not permitted\n").message,
    "nftables refused the rules: cache initialization failed: Operation not permitted",
  );
  assert.match(nftError(SCRIPT, "Error: x: Operation not permitted").hint ?? "", /root/);
  assert.equal(nftError(SCRIPT, "").message, "nftables refused the rules: no reason given");
  assert.equal(nftError(SCRIPT, "Error: Device or resource busy").retry, "soon");
});
