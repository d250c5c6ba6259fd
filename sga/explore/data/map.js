"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const sheet = document.getElementById("sheet");
  const map = document.getElementById("map"), pen = map.getContext("2d");
  const tip = document.getElementById("tip"), said = document.getElementById("said");
  const [attributes, layouts, completed, legend] = ["attribute", "layout", "completed", "legend"].map((id) => document.getElementById(id));
  const COMPLETED = data.sources.indexOf("completed");
  // Six colours that the colour-blind tell apart (Tol's bright scheme); after six values the stroke changes.
  const COLOURS = ["#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377"];
  const DASHES = [[], [0.34, 0.14], [0.09, 0.09]];
  const count = data.facts.length, dark = matchMedia("(prefers-color-scheme: dark)");
  const narrow = matchMedia("(max-width: 600px)");
  const MOST = 400; // pixels a face, zoomed in
  let places = Object.values(data.layouts)[0], frames = null, kept = new Set(), chosen = -1, hovered = -1, wanted = false;
  let scale = 1, x0 = 0, y0 = 0, width = 0, height = 0, whole = true;
  let grid = new Map();

  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const clamp = (value, low, high) => Math.min(Math.max(value, low), high);
  const codeOf = (face, attribute) =>
    attribute.sources[face] === COMPLETED && !completed.checked ? -1 : attribute.codes[face];
  const stroke = (code) => ({
    colour: code < 0 ? colour("--muted") : COLOURS[code % COLOURS.length],
    dash: code < 0 ? [] : DASHES[Math.floor(code / COLOURS.length) % DASHES.length],
  });

  // -- the map: a face is one unit wide; the point (x, y) of the map stands at (x · scale + x0, y · scale + y0) ---------------

  const extent = () => {
    const xs = places.map((place) => place[0]), ys = places.map((place) => place[1]);
    return [Math.min(...xs) - 0.7, Math.min(...ys) - 0.7, Math.max(...xs) + 0.7, Math.max(...ys) + 0.7];
  };
  const fitting = () => {
    const [left, top, right, bottom] = extent();
    return Math.min(width / (right - left), height / (bottom - top));
  };
  const fit = () => {
    const [left, top, right, bottom] = extent();
    scale = fitting();
    x0 = width / 2 - (scale * (left + right)) / 2;
    y0 = height / 2 - (scale * (top + bottom)) / 2;
    whole = true;
    draw();
  };
  const bound = () => {
    const [left, top, right, bottom] = extent();
    x0 = clamp(x0, width / 2 - right * scale, width / 2 - left * scale);
    y0 = clamp(y0, height / 2 - bottom * scale, height / 2 - top * scale);
  };
  const zoom = (factor, x = width / 2, y = height / 2) => {
    const next = clamp(scale * factor, Math.min(fitting(), MOST), MOST);
    x0 = x - ((x - x0) * next) / scale;
    y0 = y - ((y - y0) * next) / scale;
    scale = next;
    whole = false;
    bound();
    draw();
  };
  const move = (dx, dy) => {
    x0 += dx;
    y0 += dy;
    whole = false;
    bound();
    draw();
  };
  const index = () => {
    grid = new Map();
    places.forEach(([x, y], face) => {
      const key = `${Math.floor(x)},${Math.floor(y)}`;
      grid.set(key, [...(grid.get(key) ?? []), face]);
    });
  };
  const faceAt = (x, y) => {
    const mx = (x - x0) / scale, my = (y - y0) / scale;
    let found = -1;
    for (let i = Math.floor(mx) - 1; i <= Math.floor(mx) + 1; i++)
      for (let j = Math.floor(my) - 1; j <= Math.floor(my) + 1; j++)
        for (const face of grid.get(`${i},${j}`) ?? [])
          if (Math.abs(places[face][0] - mx) <= 0.5 && Math.abs(places[face][1] - my) <= 0.5) found = Math.max(found, face);
    return found; // where faces overlap, the one on top
  };
  const centre = (face) => [places[face][0] * scale + x0, places[face][1] * scale + y0];

  // -- drawing ----------------------------------------------------------------------------------------------------------------

  const draw = () => {
    if (wanted) return;
    wanted = true;
    requestAnimationFrame(() => {
      wanted = false;
      paint();
      place();
    });
  };
  const source = (face) => [(face % data.columns) * data.edge, Math.floor(face / data.columns) * data.edge];
  const paint = () => {
    const dots = devicePixelRatio || 1, edge = scale * 0.94;
    pen.setTransform(dots, 0, 0, dots, 0, 0);
    pen.fillStyle = colour("--paper");
    pen.fillRect(0, 0, width, height);
    pen.imageSmoothingQuality = "high";
    for (let face = 0; face < count; face++) {
      const [x, y] = centre(face);
      if (x < -scale || y < -scale || x > width + scale || y > height + scale) continue;
      const dim = frames && kept.size && !kept.has(codeOf(face, frames));
      pen.globalAlpha = dim ? 0.15 : 1;
      pen.drawImage(sheet, ...source(face), data.edge, data.edge, x - edge / 2, y - edge / 2, edge, edge);
      if (frames && !dim) frame(pen, x, y, edge, stroke(codeOf(face, frames)));
    }
    pen.globalAlpha = 1;
    for (const face of [hovered, chosen]) {
      if (face < 0) continue;
      const [x, y] = centre(face), large = Math.max(edge, Math.min(56, edge * 2));
      pen.drawImage(sheet, ...source(face), data.edge, data.edge, x - large / 2, y - large / 2, large, large);
      outline(x, y, large + 4, colour("--ink"), 3);
      outline(x, y, large + 8, colour("--paper"), 1.5);
    }
  };
  const outline = (x, y, edge, ink, thick) => {
    pen.setLineDash([]);
    pen.strokeStyle = ink;
    pen.lineWidth = thick;
    pen.strokeRect(x - edge / 2, y - edge / 2, edge, edge);
  };
  const frame = (on, x, y, edge, how) => {
    const thick = clamp(edge * 0.09, 1.5, 7), side = edge - thick;
    on.setLineDash([]);
    on.strokeStyle = "#ffffff"; // below a broken stroke, so that it shows on every face
    on.lineWidth = thick;
    on.strokeRect(x - side / 2, y - side / 2, side, side);
    on.setLineDash(how.dash.map((part) => part * Math.max(edge, 12)));
    on.strokeStyle = how.colour;
    on.strokeRect(x - side / 2, y - side / 2, side, side);
    on.setLineDash([]);
  };

  // -- what is said of a face -----------------------------------------------------------------------------------------------

  const lines = (face) => {
    const facts = Object.entries(data.facts[face]).map(([name, value]) => [name, String(value), true]);
    const labels = data.attributes.filter((one) => one.codes[face] >= 0).map((one) => {
      const source = data.sources[one.sources[face]], sure = (one.confidence[face] / 100).toFixed(2);
      return [one.name, `${one.values[one.codes[face]]} (${source} ${sure})`, false];
    });
    return [...labels, ...facts];
  };
  const tell = (face) => {
    const body = tip.querySelector("tbody");
    body.replaceChildren(...lines(face).map(([name, value, weak]) => {
      const row = document.createElement("tr"), head = document.createElement("th"), cell = document.createElement("td");
      head.scope = "row";
      head.textContent = name;
      cell.textContent = value;
      cell.className = weak ? "weak" : "";
      row.append(head, cell);
      return row;
    }));
    const on = document.getElementById("face").getContext("2d");
    on.imageSmoothingQuality = "high";
    on.drawImage(sheet, ...source(face), data.edge, data.edge, 0, 0, 192, 192);
  };
  const place = () => {
    const face = hovered >= 0 ? hovered : chosen;
    tip.hidden = face < 0;
    if (face < 0) return;
    if (tip.dataset.face !== String(face)) tell(face);
    tip.dataset.face = String(face);
    const [x, y] = centre(face), room = Math.max(scale, 40) / 2 + 12;
    const left = x + room + tip.offsetWidth <= width ? x + room : x - room - tip.offsetWidth;
    tip.style.left = `${clamp(left, 4, Math.max(4, width - tip.offsetWidth - 4))}px`;
    tip.style.top = `${clamp(y - tip.offsetHeight / 2, 4, Math.max(4, height - tip.offsetHeight - 4))}px`;
  };
  const choose = (face) => {
    chosen = face;
    said.textContent = face < 0 ? "No face chosen" : lines(face).map(([name, value]) => `${name}: ${value}`).join(", ");
    draw();
    if (face >= 0 && narrow.matches) requestAnimationFrame(() => requestAnimationFrame(uncover));
  };
  const uncover = () => { // on a phone the labels stand below: the chosen face shall be seen above them
    if (chosen < 0) return;
    const over = centre(chosen)[1] + Math.max(scale / 2, 32) - (height - tip.offsetHeight);
    if (over > 0) {
      y0 -= over;
      whole = false;
      draw();
    }
  };
  const show = (face) => { // moves the map until the chosen face stands in it
    const [x, y] = centre(face), edge = scale / 2 + 8;
    move(clamp(x, edge, width - edge) - x, clamp(y, edge, height - edge) - y);
  };
  const step = (dx, dy) => {
    if (chosen < 0) {
      const middle = [(width / 2 - x0) / scale, (height / 2 - y0) / scale];
      choose(nearest(middle, () => true));
    } else {
      const [x, y] = places[chosen];
      const next = nearest([x, y], (px, py) => {
        const along = (px - x) * dx + (py - y) * dy, aside = Math.abs((px - x) * dy) + Math.abs((py - y) * dx);
        return along > 0.05 && aside <= along * 1.5;
      });
      if (next >= 0) choose(next);
    }
    if (chosen >= 0) show(chosen);
  };
  const nearest = ([x, y], allowed) => {
    let best = -1, least = Infinity;
    places.forEach(([px, py], face) => {
      const away = (px - x) ** 2 + (py - y) ** 2;
      if (face !== chosen && away < least && allowed(px, py)) [best, least] = [face, away];
    });
    return best;
  };

  // -- pointers, wheel and keys -----------------------------------------------------------------------------------------------

  const down = new Map();
  let began = null;
  const spot = (event) => {
    const box = map.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  };
  const spread = () => {
    const [[ax, ay], [bx, by]] = [...down.values()];
    return { away: Math.max(1, Math.hypot(ax - bx, ay - by)), x: (ax + bx) / 2, y: (ay + by) / 2 };
  };
  map.addEventListener("pointerdown", (event) => {
    map.setPointerCapture(event.pointerId);
    down.set(event.pointerId, spot(event));
    began = down.size === 1 ? { at: spot(event), moved: false } : { ...began, moved: true };
  });
  map.addEventListener("pointermove", (event) => {
    const at = spot(event), before = down.get(event.pointerId);
    if (!before) {
      const face = faceAt(...at);
      if (event.pointerType === "mouse" && face !== hovered) {
        hovered = face;
        draw();
      }
      return;
    }
    if (began && Math.hypot(at[0] - began.at[0], at[1] - began.at[1]) > 6) began.moved = true;
    if (down.size === 1) {
      down.set(event.pointerId, at);
      if (began?.moved) {
        hovered = -1;
        move(at[0] - before[0], at[1] - before[1]);
      }
    } else if (down.size === 2) {
      const earlier = spread();
      down.set(event.pointerId, at);
      const now = spread();
      move(now.x - earlier.x, now.y - earlier.y);
      zoom(now.away / earlier.away, now.x, now.y);
    }
  });
  const lift = (event) => {
    const known = down.delete(event.pointerId);
    if (known && event.type === "pointerup" && down.size === 0 && began && !began.moved) {
      const face = faceAt(...spot(event));
      choose(face === chosen ? -1 : face);
    }
    if (down.size === 0) began = null;
  };
  map.addEventListener("pointerup", lift);
  map.addEventListener("pointercancel", lift);
  map.addEventListener("pointerleave", () => {
    hovered = -1;
    draw();
  });
  map.addEventListener("wheel", (event) => {
    event.preventDefault();
    zoom(Math.exp(-clamp(event.deltaY * (event.deltaMode ? 30 : 1), -300, 300) / 300), ...spot(event));
  }, { passive: false });
  map.addEventListener("keydown", (event) => {
    const arrow = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (arrow && event.shiftKey) move(-arrow[0] * 80, -arrow[1] * 80);
    else if (arrow) step(...arrow);
    else if (event.key === "+" || event.key === "=") zoom(1.4);
    else if (event.key === "-" || event.key === "_") zoom(1 / 1.4);
    else if (event.key === "0" || event.key === "Home") fit();
    else if (event.key === "Escape") choose(-1);
    else return;
    event.preventDefault();
  });
  document.getElementById("in").addEventListener("click", () => zoom(1.6));
  document.getElementById("out").addEventListener("click", () => zoom(1 / 1.6));
  document.getElementById("all").addEventListener("click", fit);

  // -- frames, layouts and their legend ---------------------------------------------------------------------------------------

  const swatch = (code) => {
    const square = document.createElement("canvas");
    square.width = square.height = 44;
    frame(square.getContext("2d"), 22, 22, 42, stroke(code));
    square.setAttribute("aria-hidden", "true");
    return square;
  };
  const entries = () => {
    const button = (code, name) => {
      const number = data.facts.filter((_, face) => codeOf(face, frames) === code).length;
      const item = document.createElement("li"), press = document.createElement("button");
      press.type = "button";
      press.setAttribute("aria-pressed", String(kept.has(code)));
      press.append(swatch(code), `${name} ${number}`);
      press.addEventListener("click", () => {
        if (!kept.delete(code)) kept.add(code);
        press.setAttribute("aria-pressed", String(kept.has(code)));
        draw();
      });
      item.append(press);
      return item;
    };
    const named = frames ? frames.values.map((name, code) => [code, name]) : [];
    legend.replaceChildren(...(frames ? [...named, [-1, frames.unknown]].map(([code, name]) => button(code, name)) : []));
  };
  const options = (select, names) => select.append(...names.map((name, at) => new Option(name, String(at))));
  options(attributes, ["none", ...data.attributes.map((one) => one.name)]);
  options(layouts, Object.keys(data.layouts));
  const framed = () => {
    frames = data.attributes[Number(attributes.value) - 1] ?? null;
    kept = new Set();
    completed.disabled = !frames;
    entries();
    resize();
  };
  attributes.addEventListener("change", framed);
  completed.addEventListener("change", () => {
    entries();
    draw();
  });
  layouts.addEventListener("change", () => {
    places = Object.values(data.layouts)[Number(layouts.value)];
    index();
    fit();
  });
  const resize = () => {
    const dots = devicePixelRatio || 1, middle = [(width / 2 - x0) / scale, (height / 2 - y0) / scale];
    [width, height] = [map.clientWidth, map.clientHeight];
    [map.width, map.height] = [Math.round(width * dots), Math.round(height * dots)];
    if (whole) return fit();
    x0 = width / 2 - middle[0] * scale;
    y0 = height / 2 - middle[1] * scale;
    draw();
  };
  new ResizeObserver(resize).observe(map);
  dark.addEventListener("change", () => {
    entries();
    draw();
  });
  index();
  framed();
  window.sga = {
    ready: sheet.decode().then(() => draw()),
    view: () => ({ scale, x0, y0, width, height, chosen, hovered, kept: [...kept] }),
    centre,
    places: () => places,
  };
})();
