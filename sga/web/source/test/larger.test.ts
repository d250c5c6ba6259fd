/** Larger pictures: what they say of themselves, and the upscaler's way here. See ports.test.ts for SGA_VECTORS. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { type AddressInfo } from "node:net";
import { test } from "node:test";
import { gzipSync } from "node:zlib";
import { metadata, type Pictured } from "../src/core/png";
import { type Header, Spec } from "../src/core/spec";
import { Progress } from "../src/engine/files";
import { Upscaler } from "../src/engine/upscaler";

const folder = process.env["SGA_VECTORS"] ?? "test/vectors";
const plain = JSON.parse(readFileSync(`${folder}/model.json`).toString()) as Header;
const raw = Buffer.from("an upscaler, as far as its file goes. ".repeat(50));
const packed = gzipSync(raw);
const name = createHash("sha256").update(raw).digest("hex").slice(0, 16);
const upscaler = { path: "assets/upscaler.bin", bytes: packed.length, unpacked: raw.length, name, factors: [2, 4] };
const spec = new Spec({ ...plain, files: { ...plain.files, upscaler } });

test("a larger picture tells its size and its upscaler behind how it was made", () => {
  const { noise_size, style_size, size } = plain;
  const latents = { noise: new Float32Array(noise_size), style: new Float32Array(style_size), gender: 0 };
  const face: Pictured = { recipe: { kind: "latents", latents }, latents, attempt: 0, verdict: null, failed: [] };
  const [own, large] = [metadata(spec, face), metadata(spec, face, 4)];
  assert.deepEqual(Object.entries(large).slice(1, 4), [
    ["made", "page"],
    ["size", `${4 * size}`],
    ["upscaler", name],
  ]);
  const { size: told, upscaler: by, ...rest } = large;
  assert.deepEqual(rest, own);
  assert.ok(told && by && !("size" in own));
});

test("the upscaler is fetched once, and again where it failed or is another file", async (context) => {
  const answers: [number, Buffer][] = [
    [404, Buffer.from("not here")],
    [200, Buffer.from(raw.map((byte, i) => byte ^ (i ? 0 : 1)))], // as it comes from a server that unpacks
    [200, packed],
  ];
  let asked = 0;
  const server = createServer((_, response) => {
    const [status, body] = answers[asked++]!;
    response.writeHead(status, { Connection: "close" }).end(body);
  });
  context.after(() => server.close());
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const place = `http://127.0.0.1:${(server.address() as AddressInfo).port}/some/page/`;
  const one = new Upscaler(null as never, upscaler, place);
  const told: [number, number][] = [];
  const fetched = () => one.fetch(new Progress((...parts) => told.push(parts)));
  await assert.rejects(fetched(), /404/);
  await assert.rejects(fetched(), new RegExp(`instead of ${name}`));
  await Promise.all([fetched(), fetched()]);
  await fetched();
  assert.equal(asked, 3);
  assert.deepEqual(told.at(-1), [packed.length, packed.length]);
  await assert.rejects(one.enlarge(new Uint8Array(12), 2, 3).next(), /by 2 or 4, found 3/);
});
