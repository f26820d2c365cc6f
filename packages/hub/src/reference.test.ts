import assert from "node:assert/strict";
import { test } from "node:test";
import { InputError } from "@manyhands/base/errors";
import { parseModelReference } from "./reference.ts";
import { hubSettings } from "./settings.ts";

test("names of models", () => {
  const hub = (repo: string, revision = "main"): object => ({ kind: "hub", repo, revision });
  assert.deepEqual(parseModelReference("hf:Qwen/Qwen3-0.6B"), hub("Qwen/Qwen3-0.6B"));
  assert.deepEqual(parseModelReference("hf:gpt2"), hub("gpt2"));
  assert.deepEqual(parseModelReference("hf:a/b@refs/pr/1"), hub("a/b", "refs/pr/1"));
  assert.deepEqual(parseModelReference("./models/a"), { kind: "folder", path: "./models/a" });
  const hostile = [
    "",
    " ",
    "hf:",
    "hf:a/b/c",
    "hf:../b",
    "hf:a/..",
    "hf:a--b/c",
    "hf:a/b@",
    "hf:/b",
  ];
  hostile.push("hf:a/b@../../x", "hf:a/b@x/", "hf:a/b@-x", "hf:a b/c", "hf:a/b?x", "hf:a/b@x y");
  for (const name of hostile) assert.throws(() => parseModelReference(name), InputError, name);
});

test("settings are those of Hugging Face's tools", () => {
  const plain = hubSettings({ HOME: "/people/me", HF_HUB_DISABLE_IMPLICIT_TOKEN: "1" });
  assert.deepEqual(plain, {
    endpoint: "https://huggingface.co",
    cache: "/people/me/.cache/huggingface/hub",
    token: undefined,
    offline: false,
  });
  const own = { HOME: "/people/me", HF_HOME: "~/hf", HF_TOKEN: " hf_x\n", HF_HUB_OFFLINE: "YES" };
  assert.deepEqual(hubSettings({ ...own, HF_ENDPOINT: "http://mirror:8080/" }), {
    endpoint: "http://mirror:8080",
    cache: "/people/me/hf/hub",
    token: "hf_x",
    offline: true,
  });
  assert.equal(hubSettings({ ...own, HF_HUB_CACHE: "/data" }).cache, "/data");
  assert.equal(hubSettings({ HOME: "/h", XDG_CACHE_HOME: "/c" }).cache, "/c/huggingface/hub");
  assert.equal(hubSettings({ ...own, HF_TOKEN: "a\r\nb" }).token, undefined);
  for (const HF_ENDPOINT of ["ftp://x", "huggingface.co", "http://"]) {
    assert.throws(() => hubSettings({ HF_ENDPOINT }), InputError, HF_ENDPOINT);
  }
});
