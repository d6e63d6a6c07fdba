"use strict";
// Draws `data` on the canvas in `root`, whose parts have the ids below (data-map in a page that has
// other ids). `choices`: styled, the element whose style has the colours; found, what is said of the
// points found; open, what is done with the number of a point that is clicked or entered.
globalThis.llarMap = (root, data, choices = {}) => {
  const part = (name) => root.querySelector(`#${name}, [data-map="${name}"]`);
  const canvas = part("map");
  const tip = part("tip");
  const said = part("said");
  const find = part("find");
  const found = choices.found || ((many) => many + " found");
  const pen = canvas.getContext("2d");
  const points = data.points; // [x, y, group, text, source]
  const inOrder = [...points].sort((a, b) => (b[2] >= data.named) - (a[2] >= data.named));
  const off = new Set(); // groups that are hidden
  let wanted = ""; // what is looked for
  let chosen = -1; // the point whose text is shown
  let view = { x: 0, y: 0, scale: 1 }; // middle of the view, pixels per unit
  let whole = 1;
  let colours = {};

  const readColours = () => {
    const style = getComputedStyle(choices.styled || document.documentElement);
    const of = (name) => style.getPropertyValue("--" + name).trim();
    colours = { text: of("text"), muted: of("muted"), background: of("background"),
                series: [0, 1, 2, 3, 4, 5, 6, 7].map((n) => of("s" + n)) };
  };

  const colour = (group) => (group < data.named ? colours.series[group % 8] : colours.muted);
  const shape = (group) => (group < data.named ? (group + Math.floor(group / 8)) % 8 : 0);

  // One mark: circle, square, triangles, diamond, plus, cross, star; the shapes of the pictures.
  const mark = (to, x, y, kind, r) => {
    const corners = (angles, radius) => angles.forEach((a, n) => {
      const t = (a * Math.PI) / 180;
      const d = Array.isArray(radius) ? radius[n % radius.length] : radius;
      to[n ? "lineTo" : "moveTo"](x + d * Math.cos(t), y + d * Math.sin(t));
    });
    const box = (w, h) => to.rect(x - w, y - h, 2 * w, 2 * h);
    to.beginPath();
    if (kind === 0) to.arc(x, y, r, 0, 2 * Math.PI);
    if (kind === 1) box(r * 0.88, r * 0.88);
    if (kind === 2) corners([-90, 30, 150], r * 1.25);
    if (kind === 3) corners([-90, 0, 90, 180], r * 1.2);
    if (kind === 4) corners([90, 210, 330], r * 1.25);
    if (kind === 5) { box(r * 0.4, r * 1.1); box(r * 1.1, r * 0.4); }
    if (kind === 6) corners([-45, -5, 45, 85, 135, 175, 225, 265], [r * 1.3, r * 0.5]);
    if (kind === 7) corners([-90, -54, -18, 18, 54, 90, 126, 162, 198, 234], [r * 1.35, r * 0.6]);
    to.closePath();
    to.fill();
  };

  const at = (p) => [
    canvas.clientWidth / 2 + (p[0] - view.x) * view.scale,
    canvas.clientHeight / 2 - (p[1] - view.y) * view.scale,
  ];
  const shown = (p) => !off.has(p[2]);
  const matches = (p) => !wanted || (p[3] + "\n" + p[4]).toLowerCase().includes(wanted);
  const radius = () => (points.length <= 60 ? 8 : points.length <= 600 ? 6 : 4);

  const draw = () => {
    const ratio = window.devicePixelRatio || 1;
    const wide = canvas.clientWidth, high = canvas.clientHeight;
    canvas.width = Math.round(wide * ratio);
    canvas.height = Math.round(high * ratio);
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.clearRect(0, 0, wide, high);
    for (const p of inOrder) {
      if (!shown(p)) continue;
      const [x, y] = at(p);
      if (x < -9 || y < -9 || x > wide + 9 || y > high + 9) continue;
      pen.globalAlpha = matches(p) ? (points.length > 600 ? 0.8 : 1) : 0.12;
      pen.fillStyle = colour(p[2]);
      mark(pen, x, y, shape(p[2]), radius());
    }
    pen.globalAlpha = 1;
    label(wide, high);
    const [x, y] = chosen >= 0 ? at(points[chosen]) : [-1, -1];
    if (chosen >= 0 && shown(points[chosen]) && x >= 0 && y >= 0 && x <= wide && y <= high) {
      pen.strokeStyle = colours.text;
      pen.lineWidth = 3;
      pen.beginPath();
      pen.arc(x, y, radius() + 5, 0, 2 * Math.PI);
      pen.stroke();
      placeTip(x, y);
    } else {
      tip.hidden = true;
    }
  };

  // Texts beside the points, where few are in view, and only where there is room.
  const label = (wide, high) => {
    const seen = points.filter((p) => shown(p) && matches(p)).map((p) => [p, ...at(p)])
      .filter(([, x, y]) => x > 0 && y > 0 && x < wide && y < high);
    if (seen.length > 40) return;
    const r = radius();
    const taken = seen.map(([, x, y]) => [x - r, y - r, x + r, y + r]);
    pen.font = "13px system-ui, sans-serif";
    pen.textBaseline = "middle";
    pen.fillStyle = colours.text;
    for (const [p, x, y] of seen) {
      const line = p[3].replace(/\s+/g, " ").trim();
      const text = line.length > 44 ? line.slice(0, 43).trimEnd() + "…" : line;
      const w = pen.measureText(text).width;
      const spots = [[x + r + 4, y], [x - r - 4 - w, y], [x - w / 2, y - r - 10],
                     [x - w / 2, y + r + 11]];
      for (const [left, middle] of spots) {
        const box = [left - 2, middle - 9, left + w + 2, middle + 9];
        const out = box[0] < 2 || box[1] < 2 || box[2] > wide - 2 || box[3] > high - 2;
        if (out || taken.some((t) => t[0] < box[2] && t[2] > box[0] && t[1] < box[3] && t[3] > box[1])) {
          continue;
        }
        pen.fillText(text, left, middle);
        taken.push(box);
        break;
      }
    }
  };

  const placeTip = (x, y) => {
    const p = points[chosen];
    tip.replaceChildren();
    const name = document.createElement("b");
    const group = data.groups[p[2]].name;
    name.textContent = p[4] || group;
    tip.append(name, p[3]);
    tip.hidden = false;
    const left = x + 16 + tip.offsetWidth > canvas.clientWidth ? x - 16 - tip.offsetWidth : x + 16;
    const top = Math.min(y + 12, canvas.clientHeight - tip.offsetHeight - 6);
    tip.style.left = Math.max(6, left) + "px";
    tip.style.top = Math.max(6, top) + "px";
  };

  const choose = (n, aloud) => {
    chosen = n;
    if (n >= 0 && aloud) {
      const p = points[n];
      said.textContent = (p[4] || data.groups[p[2]].name) + ": " + p[3];
    }
    draw();
  };

  const fit = () => {
    let x0 = Infinity, x1 = -Infinity, y0 = Infinity, y1 = -Infinity;
    for (const p of points) {
      x0 = Math.min(x0, p[0]); x1 = Math.max(x1, p[0]);
      y0 = Math.min(y0, p[1]); y1 = Math.max(y1, p[1]);
    }
    const span = Math.max((x1 - x0) / canvas.clientWidth, (y1 - y0) / canvas.clientHeight);
    whole = span > 1e-12 ? 0.86 / span : 1;
    view = { x: (x0 + x1) / 2, y: (y0 + y1) / 2, scale: whole };
    draw();
  };

  // Zoom by a factor, keeping what is under (x, y) where it is.
  const zoom = (factor, x = canvas.clientWidth / 2, y = canvas.clientHeight / 2) => {
    const scale = Math.min(Math.max(view.scale * factor, whole / 4), whole * 1000);
    const dx = x - canvas.clientWidth / 2, dy = y - canvas.clientHeight / 2;
    view.x += dx / view.scale - dx / scale;
    view.y -= dy / view.scale - dy / scale;
    view.scale = scale;
    draw();
  };

  const nearest = (x, y, reach) => {
    let best = -1, least = reach * reach;
    points.forEach((p, n) => {
      if (!shown(p) || !matches(p)) return;
      const [px, py] = at(p);
      const d = (px - x) ** 2 + (py - y) ** 2;
      if (d < least) { least = d; best = n; }
    });
    return best;
  };

  const open = (n) => {
    if (n >= 0 && choices.open) choices.open(n);
  };

  // The next point in a direction: near, and not far to the side.
  const step = (dx, dy) => {
    if (chosen < 0 || !shown(points[chosen])) {
      return choose(nearest(canvas.clientWidth / 2, canvas.clientHeight / 2, 1e9), true);
    }
    const [x, y] = at(points[chosen]);
    let best = -1, least = Infinity;
    points.forEach((p, n) => {
      if (n === chosen || !shown(p) || !matches(p)) return;
      const [px, py] = at(p);
      const along = (px - x) * dx + (py - y) * dy;
      const aside = Math.abs((px - x) * dy) + Math.abs((py - y) * dx);
      if (along <= 0) return;
      const cost = along + 2 * aside;
      if (cost < least) { least = cost; best = n; }
    });
    if (best < 0) return;
    const [px, py] = at(points[best]);
    const wide = canvas.clientWidth, high = canvas.clientHeight;
    if (px < 20 || py < 20 || px > wide - 20 || py > high - 20) {
      view.x = points[best][0];
      view.y = points[best][1];
    }
    choose(best, true);
  };

  // Points at the very same place are reached one after the other.
  const turn = (by) => {
    for (let n = 1; n <= points.length; n++) {
      const next = (((chosen + by * n) % points.length) + points.length) % points.length;
      if (shown(points[next]) && matches(points[next])) return choose(next, true);
    }
  };

  const keys = {
    ArrowLeft: () => step(-1, 0), ArrowRight: () => step(1, 0),
    ArrowUp: () => step(0, -1), ArrowDown: () => step(0, 1),
    n: () => turn(1), p: () => turn(-1),
    "+": () => zoom(1.3), "=": () => zoom(1.3), "-": () => zoom(1 / 1.3), 0: fit,
    Escape: () => choose(-1, false),
    Enter: () => open(chosen),
  };
  canvas.addEventListener("keydown", (e) => {
    if (e.ctrlKey || e.metaKey || e.altKey || !Object.hasOwn(keys, e.key)) return;
    e.preventDefault();
    keys[e.key]();
  });
  canvas.addEventListener("wheel", (e) => {
    e.preventDefault();
    const box = canvas.getBoundingClientRect();
    zoom(Math.exp(-e.deltaY * 0.0015), e.clientX - box.left, e.clientY - box.top);
  }, { passive: false });

  const held = new Map(); // fingers, or the mouse, that are down
  let pressed = [0, 0], dragged = false; // a map that was moved was not clicked
  canvas.addEventListener("pointerdown", (e) => {
    held.set(e.pointerId, [e.offsetX, e.offsetY]);
    pressed = [e.offsetX, e.offsetY];
    dragged = false;
    canvas.setPointerCapture(e.pointerId);
  });
  const release = (e) => held.delete(e.pointerId);
  canvas.addEventListener("pointerup", release);
  canvas.addEventListener("pointercancel", release);
  canvas.addEventListener("pointermove", (e) => {
    const now = [e.offsetX, e.offsetY];
    const before = held.get(e.pointerId);
    if (!before) return choose(nearest(now[0], now[1], 18), false);
    dragged = dragged || Math.hypot(now[0] - pressed[0], now[1] - pressed[1]) > 4;
    const other = [...held].find(([id]) => id !== e.pointerId);
    held.set(e.pointerId, now);
    if (other) {
      const apart = (p) => Math.hypot(p[0] - other[1][0], p[1] - other[1][1]) || 1;
      return zoom(apart(now) / apart(before), other[1][0], other[1][1]);
    }
    view.x -= (now[0] - before[0]) / view.scale;
    view.y += (now[1] - before[1]) / view.scale;
    draw();
  });
  canvas.addEventListener("click", (e) => {
    const n = nearest(e.offsetX, e.offsetY, 18);
    const again = n === chosen; // a mouse is over it before, a finger shows it first
    choose(n, true);
    if (again && !dragged) open(n);
  });
  canvas.addEventListener("pointerleave", () => { if (!held.size) choose(-1, false); });

  const swatches = [];
  const paintSwatches = () => swatches.forEach(([to, group]) => {
    to.clearRect(0, 0, 28, 28);
    to.fillStyle = colour(group);
    mark(to, 14, 14, shape(group), 10);
  });
  const bar = part("groups");
  if (data.groups.length > 1) data.groups.forEach((group, number) => {
    const button = document.createElement("button");
    const swatch = document.createElement("canvas");
    swatch.width = swatch.height = 28;
    swatches.push([swatch.getContext("2d"), number]);
    button.append(swatch, group.name + " (" + group.size + ")");
    button.type = "button";
    button.title = group.typical;
    button.setAttribute("aria-pressed", "true");
    button.addEventListener("click", () => {
      if (!off.delete(number)) off.add(number);
      button.setAttribute("aria-pressed", String(!off.has(number)));
      draw();
    });
    bar.append(button);
  });

  find.addEventListener("input", () => {
    wanted = find.value.trim().toLowerCase();
    const many = points.filter((p) => shown(p) && matches(p)).length;
    said.textContent = wanted ? found(many) : "";
    draw();
  });
  part("in").addEventListener("click", () => zoom(1.3));
  part("out").addEventListener("click", () => zoom(1 / 1.3));
  part("fit").addEventListener("click", fit);

  const all = part("all");
  all.addEventListener("toggle", () => {
    const list = part("list");
    if (!all.open || list.childElementCount) return;
    const rows = document.createDocumentFragment();
    for (const [n, p] of points.entries()) {
      const row = document.createElement("li");
      const name = document.createElement(choices.open ? "button" : "b");
      if (choices.open) {
        name.type = "button";
        name.addEventListener("click", () => open(n));
      }
      name.textContent = (p[4] || data.groups[p[2]].name) + ": ";
      row.append(name, p[3]);
      rows.append(row);
    }
    list.append(rows);
  });

  const repaint = () => {
    readColours();
    paintSwatches();
    draw();
  };
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", repaint);
  new ResizeObserver(() => draw()).observe(canvas);
  readColours();
  paintSwatches();
  fit();
  return { repaint };
};
