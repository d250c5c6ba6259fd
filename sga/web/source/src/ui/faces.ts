/** Faces to choose from: a listbox with one stop for the tab key, in which the arrow keys move. */
import { type Face } from "../engine/protocol";
import { type Spec } from "../core/spec";
import { follow, type Key, say } from "../words";
import { canvas, paint } from "./canvas";
import { describe } from "./describe";
import { h, named } from "./dom";

interface Cell {
  option: HTMLButtonElement;
  picture: HTMLCanvasElement;
  face: Face | null;
  settled: boolean;
}

export class Faces {
  readonly element: HTMLDivElement;
  private cells: Cell[] = [];
  private active = 0;

  /** edge: pixels of a picture on its canvas; chosen: what becomes of a choice. */
  constructor(
    private readonly spec: Spec,
    label: Key,
    className: string,
    private readonly edge: number,
    private readonly chosen: (face: Face) => void,
  ) {
    this.element = named(h("div", { className, attributes: { role: "listbox" } }), label);
    this.element.addEventListener("keydown", (event) => this.key(event));
    follow(this.element, () => this.cells.forEach((cell) => this.label(cell)));
  }

  get faces(): (Face | null)[] {
    return this.cells.map((cell) => cell.face);
  }

  /** Empty places, or faces. */
  reset(faces: (Face | null)[]): void {
    this.cells = faces.map((face, place) => this.cell(face, place));
    this.active = 0;
    this.element.replaceChildren(...this.cells.map((cell) => cell.option));
    this.roam();
  }

  set(place: number, face: Face, settled: boolean): void {
    const cell = this.cells[place]!;
    const same = cell.face?.pixels === face.pixels;
    cell.face = face;
    cell.settled = settled;
    cell.option.disabled = false;
    cell.option.classList.toggle("unsettled", !settled);
    cell.option.classList.toggle("best", settled && face.failed.length > 0);
    cell.option.classList.remove("waiting");
    if (!same) paint(cell.picture, face.pixels, this.spec.header.size, this.edge);
    this.label(cell);
    this.roam();
  }

  /** Mark what is chosen, by its pixels. */
  mark(face: Face | null): void {
    for (const { option, face: own } of this.cells) {
      option.setAttribute("aria-selected", `${!!own && !!face && own.pixels === face.pixels}`);
    }
  }

  private cell(face: Face | null, place: number): Cell {
    const picture = canvas();
    const option = h("button", { type: "button", className: "face waiting", disabled: true }, picture);
    option.setAttribute("role", "option");
    option.setAttribute("aria-selected", "false");
    const cell: Cell = { option, picture, face: null, settled: false };
    option.addEventListener("click", () => {
      this.active = place;
      this.roam();
      if (cell.face) this.chosen(cell.face);
    });
    if (face) {
      cell.face = face;
      cell.settled = true;
      option.disabled = false;
      option.classList.remove("waiting");
      option.classList.toggle("best", face.failed.length > 0);
      paint(picture, face.pixels, this.spec.header.size, this.edge);
    }
    this.label(cell);
    return cell;
  }

  private label({ option, face, settled }: Cell): void {
    let words = say("grid.waiting");
    if (face) {
      words = describe(this.spec, face);
      if (settled && face.failed.length && face.attempts > 1)
        words = say("grid.best", { face: words, attempts: face.attempts });
    }
    option.setAttribute("aria-label", words);
    option.title = face ? words : "";
  }

  private roam(): void {
    if (this.cells[this.active]?.option.disabled)
      this.active = Math.max(
        0,
        this.cells.findIndex((cell) => !cell.option.disabled),
      );
    this.cells.forEach(({ option }, place) => (option.tabIndex = place === this.active ? 0 : -1));
  }

  private key(event: KeyboardEvent): void {
    const columns = Math.max(1, getComputedStyle(this.element).gridTemplateColumns.split(" ").length);
    const steps: Record<string, number> = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: columns, ArrowUp: -columns };
    let next = event.key in steps ? this.active + steps[event.key]! : this.active;
    if (event.key === "Home") next = 0;
    else if (event.key === "End") next = this.cells.length - 1;
    else if (!(event.key in steps)) return;
    event.preventDefault();
    const cell = this.cells[next];
    if (!cell || cell.option.disabled) return;
    this.active = next;
    this.roam();
    cell.option.focus();
  }
}
