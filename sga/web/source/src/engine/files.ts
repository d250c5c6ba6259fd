/** Downloads with their progress. What travels is gzip; where a server unpacks it on the way, it comes plain. */
import { type FileEntry } from "../core/spec";

/** Tells of every part that arrives. */
export class Progress {
  private received = 0;
  private total = 0;

  constructor(private readonly tell: (received: number, total: number) => void) {}

  expect(bytes: number): void {
    this.total += bytes;
  }

  add(bytes: number): void {
    this.received = Math.min(this.received + bytes, this.total);
    this.tell(this.received, this.total);
  }
}

/** The unpacked bytes of a file. */
export async function download(
  url: URL,
  { bytes, unpacked }: Omit<FileEntry, "path">,
  progress: Progress,
  cache: RequestCache = "default",
): Promise<ArrayBuffer> {
  progress.expect(bytes);
  const response = await fetch(url, { cache });
  if (!response.ok || !response.body) throw new Error(`${url.pathname}: ${response.status} ${response.statusText}`);
  const parts: Uint8Array<ArrayBuffer>[] = [];
  let count = 0;
  const reader = response.body.getReader();
  for (let part = await reader.read(); !part.done; part = await reader.read()) {
    parts.push(part.value as Uint8Array<ArrayBuffer>);
    count += part.value.length;
    if (count <= bytes) progress.add(part.value.length);
  }
  const blob = new Blob(parts);
  const packed = parts[0]?.[0] === 0x1f && parts[0]?.[1] === 0x8b && count === bytes;
  const content = packed
    ? await new Response(blob.stream().pipeThrough(new DecompressionStream("gzip"))).arrayBuffer()
    : await blob.arrayBuffer();
  if (content.byteLength !== unpacked) throw new Error(`${url.pathname}: ${content.byteLength} bytes instead of ${unpacked}`);
  return content;
}
