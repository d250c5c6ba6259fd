/** Beginning: language, colours, isolation, the model; then the page. */
import "./style.css";
import { type App, open } from "./app";
import { hook } from "./hook";
import { isolate } from "./isolation";
import { Announcer, button, h, text, uniqueId } from "./ui/dom";
import { recall, remember } from "./ui/store";
import { follow, type Language, LANGUAGES, language, preferred, say, speak } from "./words";

const THEMES = ["auto", "light", "dark"] as const;
const MEGABYTE = 1e6;

function header(): HTMLElement {
  const id = uniqueId("language");
  const options = Object.entries(LANGUAGES).map(([value, { own, tag }]) =>
    h("option", { value, lang: tag, selected: value === language() }, own),
  );
  const select = h("select", { id }, ...options);
  select.addEventListener("change", () => {
    remember("language", select.value);
    speak(select.value as Language);
  });
  const label = text("label", "language", { htmlFor: id, className: "unseen" });
  const mark = h("img", { src: "./icon.svg", alt: "", width: 36, height: 36 });
  const names = h("div", {}, text("h1", "title"), text("p", "lead"));
  return h("header", {}, mark, names, h("div", { className: "settings" }, theme(), label, select));
}

function theme(): HTMLElement {
  let at = Math.max(0, THEMES.indexOf((recall("theme") ?? "auto") as (typeof THEMES)[number]));
  const element = h("button", { type: "button", className: "theme" });
  const show = () => {
    document.documentElement.dataset["theme"] = THEMES[at]!;
    const words = say("theme", { theme: say(`theme.${THEMES[at]!}`) });
    element.setAttribute("aria-label", words);
    element.title = words;
  };
  element.addEventListener("click", () => {
    at = (at + 1) % THEMES.length;
    remember("theme", THEMES[at]!);
    show();
  });
  return follow(element, show);
}

/** What stands on the page until the model is there. */
class Loading {
  readonly element = h("main", { className: "loading" });
  private readonly bar = h("progress", { max: 1, value: 0 });
  private readonly words = h("p", { attributes: { role: "status" } });

  constructor() {
    this.bar.setAttribute("aria-label", say("preparing"));
    this.words.textContent = say("preparing");
    this.element.append(h("div", { className: "frame" }), this.bar, this.words);
  }

  progress(received: number, total: number): void {
    this.bar.value = received / total;
    const parts = { received: (received / MEGABYTE).toFixed(1), total: (total / MEGABYTE).toFixed(1) };
    this.words.textContent = received < total ? say("loading", parts) : say("preparing");
  }

  fail(error: unknown, again: () => void): void {
    const reason = error instanceof Error ? error.message : String(error);
    this.element.replaceChildren(
      h("p", { attributes: { role: "alert" } }, say("failed", { reason })),
      button("retry", again, { className: "primary" }),
    );
  }
}

async function begin(): Promise<App> {
  speak((recall("language") as Language | null) ?? preferred(navigator.languages));
  const announcer = new Announcer();
  const head = header();
  const loading = new Loading();
  document.body.replaceChildren(head, loading.element, ...announcer.elements);
  speak(language());
  if (await isolate()) return new Promise(() => undefined); // the page reloads
  const place = new URL("./", location.href);
  const app = await new Promise<App>((resolve) => {
    const load = () => {
      open(place, announcer, (received, total) => loading.progress(received, total)).then(resolve, (error: unknown) =>
        loading.fail(error, load),
      );
    };
    load();
  });
  document.body.replaceChildren(head, app.element, ...announcer.elements);
  speak(language());
  return app;
}

hook(begin());
