/** Tabs: arrow keys move between them, as the pattern of the ARIA practices has it. */
import { type Key } from "../words";
import { h, named, text, uniqueId } from "./dom";

export class Tabs {
  readonly element: HTMLElement;
  private readonly tabs: HTMLButtonElement[];
  private readonly panels: HTMLElement[];

  constructor(
    entries: readonly { key: Key; content: HTMLElement }[],
    private readonly opened: (place: number) => void,
  ) {
    this.tabs = entries.map(({ key }, place) => {
      const tab = text("button", key, { type: "button", id: uniqueId("tab"), attributes: { role: "tab" } });
      tab.addEventListener("click", () => this.open(place));
      return tab;
    });
    this.panels = entries.map(({ content }, place) => {
      const panel = h(
        "div",
        { id: uniqueId("panel"), attributes: { "role": "tabpanel", "aria-labelledby": this.tabs[place]!.id } },
        content,
      );
      this.tabs[place]!.setAttribute("aria-controls", panel.id);
      return panel;
    });
    const list = named(h("div", { className: "tabs", attributes: { role: "tablist" } }, ...this.tabs), "tabs");
    list.addEventListener("keydown", (event) => this.key(event));
    this.element = h("section", { className: "ways" }, list, ...this.panels);
    this.open(0);
  }

  open(place: number): void {
    this.tabs.forEach((tab, i) => {
      tab.setAttribute("aria-selected", `${i === place}`);
      tab.tabIndex = i === place ? 0 : -1;
      this.panels[i]!.hidden = i !== place;
    });
    this.opened(place);
  }

  private key(event: KeyboardEvent): void {
    const count = this.tabs.length;
    const at = this.tabs.findIndex((tab) => tab.tabIndex === 0);
    const places: Record<string, number> = {
      ArrowRight: (at + 1) % count,
      ArrowLeft: (at + count - 1) % count,
      Home: 0,
      End: count - 1,
    };
    const next = places[event.key];
    if (next === undefined) return;
    event.preventDefault();
    this.open(next);
    this.tabs[next]!.focus();
  }
}
