/**
 * `window.sga`, for tests and for whoever embeds the page:
 *
 *     await sga.ready                                  // drawing is possible from here on
 *     sga.runs()                                       // {backend, threads, isolated, difference, refused}
 *     sga.header()                                     // the model: schema, sizes, thresholds, files
 *     await sga.latents({kind: "id", identity: "Ada", gender: null})   // {noise, style, gender, attempt}: plain numbers
 *     await sga.draw({kind: "seed", seed: "7", index: 0, attempt: 0, gender: 0, where: {}})
 *                                                      // {pixels, verdict, failed, spent, link}: pixels are RGB, row by row
 *     await sga.judge(pixels)                          // {probabilities, quality}
 *     await sga.until(order)                           // a DrawOrder of engine/protocol.ts: the faces as they ended
 *     await sga.png(times = 1)                         // the chosen face as it is downloaded, larger by a factor of the header's
 *
 * Genders and values are codes, their places in the schema.
 */
import { type App } from "./app";
import { type Recipe } from "./core/recipe";
import { type DrawOrder, type Face } from "./engine/protocol";

export function hook(opening: Promise<App>): void {
  const plain = (app: App, face: Face) => ({
    ...face,
    latents: { gender: face.latents.gender, noise: [...face.latents.noise], style: [...face.latents.style] },
    pixels: [...face.pixels],
    link: app.link(face),
  });
  const begun = opening.then(async (app) => {
    await app.begin();
    return app;
  });
  Object.assign(window, {
    sga: {
      ready: opening.then(() => undefined),
      /** When the first faces are drawn. */
      settled: begun.then(() => undefined),
      runs: async () => (await opening).runs,
      header: async () => (await opening).spec.header,
      latents: async (recipe: Recipe) => {
        const { latents, attempt } = await (await opening).latents(recipe);
        return { noise: [...latents.noise], style: [...latents.style], gender: latents.gender, attempt };
      },
      draw: async (recipe: Recipe, judged = true) => plain(await opening, await (await opening).one(recipe, judged)),
      judge: async (pixels: number[]) => (await opening).judge(Uint8Array.from(pixels)),
      until: async (order: Omit<DrawOrder, "order">) => {
        const app = await opening;
        const faces: Face[] = [];
        await app.draw({ ...order, order: "draw" }, ({ place, face }) => (faces[place] = face)).ended;
        return faces.map((face) => plain(app, face));
      },
      png: async (times = 1) => [...(await (await opening).png(times))],
    },
  });
}
