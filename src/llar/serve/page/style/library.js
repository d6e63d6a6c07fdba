// Uploads: files and folders dropped or chosen, sent one after the other as they lie on the disk.
// A file goes out as the body of its own request, which the browser reads as it sends.
const LLAR_AT_ONCE = 2;
const LLAR_ROWS = 60; // waiting files that are shown; all are counted

class LlarUploads {
  constructor(root, about) {
    this.root = root;
    this.about = about; // address, limit (bytes), language, texts
    this.files = []; // {file, name, state, sent, started, rate, error, fix, request, row}
    this.list = root.querySelector(".k-queue");
    this.said = root.querySelector(".k-queue-said");
    this.zone = root.querySelector(".k-drop");
    this.listen();
  }

  listen() {
    const stop = (event) => { event.preventDefault(); };
    for (const name of ["dragenter", "dragover"]) {
      this.zone.addEventListener(name, (event) => { stop(event); this.zone.classList.add("k-over"); });
    }
    for (const name of ["dragleave", "dragend", "drop"]) {
      this.zone.addEventListener(name, () => this.zone.classList.remove("k-over"));
    }
    this.zone.addEventListener("drop", (event) => { stop(event); this.dropped(event.dataTransfer); });
    for (const input of this.root.querySelectorAll("input[type=file]")) {
      input.addEventListener("change", () => {
        for (const file of input.files) this.add(file, file.webkitRelativePath || file.name);
        input.value = "";
        this.go();
      });
      const button = this.root.querySelector(`[data-opens="${input.id}"]`);
      button.addEventListener("click", () => input.click());
    }
    window.addEventListener("beforeunload", (event) => {
      if (this.files.some((f) => ["waiting", "paused", "sending"].includes(f.state))) event.preventDefault();
    });
    this.root.dataset.ready = ""; // what is dropped or chosen from now on is taken
  }

  async dropped(transfer) {
    // The entries must be taken before the first wait: the list is emptied then.
    const items = Array.from(transfer.items || []).filter((item) => item.kind === "file");
    const entries = items.map((item) => item.webkitGetAsEntry && item.webkitGetAsEntry());
    const plain = items.filter((_, n) => !entries[n]).map((item) => item.getAsFile());
    for (const file of plain) if (file) this.add(file, file.name);
    for (const entry of entries) if (entry) await this.walk(entry);
    this.go();
  }

  async walk(entry) {
    try {
      if (entry.isFile) {
        const file = await new Promise((done, failed) => entry.file(done, failed));
        this.add(file, entry.fullPath.replace(/^\//, ""));
        return;
      }
      const reader = entry.createReader(); // gives at most a hundred at a time
      for (;;) {
        const some = await new Promise((done, failed) => reader.readEntries(done, failed));
        if (!some.length) return;
        for (const inner of some) await this.walk(inner);
      }
    } catch (error) {
      const name = entry.fullPath.replace(/^\//, "");
      this.files.push({ name, file: null, state: "failed", error: `${this.about.texts.unreadable} (${error.name})`, fix: "" });
      this.draw();
    }
  }

  add(file, name) {
    const found = { file, name, state: "waiting", sent: 0, rate: 0, error: "", fix: "" };
    if (file.size > this.about.limit) {
      found.state = "failed";
      found.error = this.about.texts.too_large;
    } else if (file.size === 0) {
      found.state = "failed";
      found.error = this.about.texts.empty_file;
    }
    this.files.push(found);
  }

  go() {
    let sending = this.files.filter((f) => f.state === "sending").length;
    for (const found of this.files) {
      if (sending >= LLAR_AT_ONCE) break;
      if (found.state === "waiting") { this.send(found); sending += 1; }
    }
    this.draw();
  }

  send(found) {
    const request = new XMLHttpRequest();
    Object.assign(found, { request, state: "sending", sent: 0, rate: 0, error: "", fix: "", marks: [[performance.now(), 0]] });
    request.upload.addEventListener("progress", (event) => {
      found.sent = event.loaded;
      const now = performance.now();
      found.marks.push([now, event.loaded]);
      while (found.marks.length > 2 && now - found.marks[0][0] > 3000) found.marks.shift();
      const [then, had] = found.marks[0];
      if (now > then) found.rate = (1000 * (event.loaded - had)) / (now - then);
      this.draw();
    });
    const over = (state, error, fix) => {
      Object.assign(found, { request: null, state, error: error || "", fix: fix || "" });
      if (state === "stored") { found.file = null; emitEvent("llar_stored"); }
      this.go();
    };
    request.addEventListener("load", () => {
      if (request.status >= 200 && request.status < 300) return over("stored");
      let said = null;
      try { said = JSON.parse(request.responseText).error; } catch { /* no JSON: the status has to do */ }
      const pause = Number(request.getResponseHeader("Retry-After"));
      if (request.status === 429 && pause && pause <= 60) { // the server's queue is full for now
        Object.assign(found, { request: null, state: "paused" });
        setTimeout(() => { if (found.state === "paused") { found.state = "waiting"; this.go(); } }, 1000 * pause);
        return this.go();
      }
      if (request.status === 401) return over("failed", this.about.texts.signed_out, "");
      const message = (said && said.message) || `HTTP ${request.status}`;
      const [what, fix] = message.split("\nfix: ");
      over("failed", what, (said && said.fix) || fix);
    });
    request.addEventListener("error", () => over("failed", this.about.texts.no_server, ""));
    request.addEventListener("abort", () => over("cancelled"));
    const path = found.name.split("/").map(encodeURIComponent).join("/");
    request.open(this.about.method, this.about.address.replace("{path}", path));
    request.setRequestHeader("Content-Type", "application/octet-stream");
    request.send(found.file);
  }

  // -- what is shown ----------------------------------------------------------------------

  draw() {
    if (this.drawing) return;
    this.drawing = true;
    setTimeout(() => { this.drawing = false; this.drawNow(); }, 150);
  }

  drawNow() {
    const texts = this.about.texts;
    const some = (state) => this.files.filter((f) => f.state === state);
    const open = [...some("sending"), ...some("paused"), ...some("waiting")];
    const shown = new Set([...some("failed"), ...some("cancelled"), ...some("sending"), ...some("paused"), ...some("waiting").slice(0, LLAR_ROWS)]);
    for (const found of this.files) {
      if (shown.has(found)) this.row(found);
      else if (found.row) { found.row.remove(); found.row = null; }
    }
    this.files = this.files.filter((f) => f.state !== "stored" || ((this.stored = (this.stored || 0) + 1), false));
    const left = open.reduce((sum, f) => sum + f.file.size - f.sent, 0);
    const rate = some("sending").reduce((sum, f) => sum + f.rate, 0);
    const parts = [];
    if (open.length) {
      parts.push(this.filled(texts.left_count, { count: this.number(open.length), size: this.size(left) }));
      if (rate) parts.push(`${this.size(rate)}/s`, this.filled(texts.time_left, { time: this.time(left / rate) }));
    } else if (this.stored) {
      parts.push(this.filled(texts.all_stored, { count: this.number(this.stored) }));
    }
    if (some("failed").length) parts.push(this.filled(texts.failed_count, { count: this.number(some("failed").length) }));
    this.said.textContent = parts.join(" · ");
    if (!open.length) this.stored = this.stored || 0;
  }

  row(found) {
    if (!found.row) {
      found.row = document.createElement("li");
      found.row.innerHTML = '<div class="k-up-top"><span class="k-up-name"></span><span class="k-up-said"></span><span class="k-up-do"></span></div><progress max="100"></progress><p class="k-up-error"></p>';
      found.row.querySelector(".k-up-name").textContent = found.name;
      found.row.querySelector("progress").setAttribute("aria-label", found.name);
      this.list.append(found.row);
      found.drawn = null;
    }
    const texts = this.about.texts;
    const bar = found.row.querySelector("progress");
    bar.hidden = found.state !== "sending";
    const size = found.file ? found.file.size : 0;
    bar.value = size ? (100 * found.sent) / size : 0;
    const said = { waiting: texts.waiting, paused: texts.waiting, failed: texts.failed, cancelled: texts.cancelled }[found.state];
    let line = said || `${this.size(found.sent)} / ${this.size(size)}`;
    if (found.state === "sending" && found.rate) {
      line += ` · ${this.size(found.rate)}/s · ${this.filled(texts.time_left, { time: this.time((size - found.sent) / found.rate) })}`;
    }
    if (found.state === "sending" && found.sent >= size) line = texts.storing;
    found.row.querySelector(".k-up-said").textContent = line;
    if (found.drawn === found.state) return;
    found.drawn = found.state;
    found.row.className = `k-up k-up-${found.state}`;
    found.row.querySelector(".k-up-error").textContent = [found.error, found.fix].filter(Boolean).join(" — ");
    const actions = found.row.querySelector(".k-up-do");
    actions.replaceChildren();
    if (["waiting", "paused", "sending"].includes(found.state)) {
      this.button(actions, texts.cancel, found.name, () => {
        if (found.request) found.request.abort(); else { found.state = "cancelled"; this.draw(); }
      });
    } else if (found.state === "failed" || found.state === "cancelled") {
      if (found.file && found.file.size && found.file.size <= this.about.limit) {
        this.button(actions, texts.retry, found.name, () => { found.state = "waiting"; this.go(); });
      }
      this.button(actions, texts.dismiss, found.name, () => {
        found.row.remove();
        this.files = this.files.filter((f) => f !== found);
        this.draw();
      });
    }
  }

  button(place, text, name, does) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "k-link";
    button.textContent = text;
    button.setAttribute("aria-label", `${text}: ${name}`);
    button.addEventListener("click", does);
    place.append(button);
  }

  filled(text, values) { return text.replace(/\{(\w+)\}/g, (_, key) => values[key]); }
  number(value, digits = 0) { return value.toLocaleString(this.about.language, { maximumFractionDigits: digits, minimumFractionDigits: digits }); }
  size(bytes) {
    for (const unit of ["B", "KiB", "MiB"]) {
      if (bytes < 1024) return `${this.number(bytes, unit === "B" ? 0 : 1)} ${unit}`;
      bytes /= 1024;
    }
    return `${this.number(bytes, 1)} GiB`;
  }
  time(seconds) {
    const whole = Math.ceil(seconds);
    return whole < 60 ? `${whole} s` : `${Math.floor(whole / 60)} min ${whole % 60} s`;
  }
}

function llarUploads(id, about) {
  const root = document.getElementById(id);
  if (root && !root.llarUploads) root.llarUploads = new LlarUploads(root, about);
}
