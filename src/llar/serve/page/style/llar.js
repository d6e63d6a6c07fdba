// What the browser does by itself: no round trip to the server.
function llarKeep(name, value) {
  document.cookie = `${name}=${value};path=/;max-age=31536000;samesite=lax`;
}

function llarLanguage(code) {
  llarKeep("llar_language", code);
  location.reload();
}

function llarLook(look) {
  llarKeep("llar_look", look);
  document.documentElement.style.colorScheme = look === "system" ? "light dark" : look;
  Quasar.Dark.set(look === "system" ? "auto" : look === "dark");
  document.querySelectorAll(".l-choice-item").forEach((item) => {
    if (["system", "light", "dark"].includes(item.dataset.choice)) {
      item.setAttribute("aria-checked", String(item.dataset.choice === look));
    }
  });
}

async function llarSignOut() {
  await fetch("/logout", { method: "POST", credentials: "same-origin" });
  location.assign("/login");
}

// Go to the end of the chat: always, or only where the reader is there already.
function llarFollow(always) {
  const page = document.documentElement;
  const near = page.scrollHeight - window.scrollY - window.innerHeight < 240;
  if (always || near) requestAnimationFrame(() => window.scrollTo(0, page.scrollHeight));
}

// Go to a question of the chat: it is read out, and the next key starts from it.
function llarTurn(id) {
  requestAnimationFrame(() => {
    const turn = document.querySelector(`[data-turn="${id}"]`);
    turn?.scrollIntoView({ block: "start" });
    turn?.querySelector(".l-question").focus({ preventScroll: true });
  });
}

// Keep what is typed until it is asked: a page that is loaded anew shows it again.
document.addEventListener("input", (event) => { // from the first letter on, connected or not
  const box = event.target;
  if (box.matches(".l-composer textarea")) sessionStorage.setItem("llar_draft", box.value);
});
function llarDraft(asked) {
  if (asked) return sessionStorage.removeItem("llar_draft");
  const box = document.querySelector(".l-composer textarea");
  const draft = sessionStorage.getItem("llar_draft");
  if (!draft || box.value) return;
  box.value = draft;
  box.dispatchEvent(new Event("input", { bubbles: true }));
}

// Bring a marked passage into view, in each box that scrolls.
function llarHere() {
  const show = () => {
    for (const mark of [document.querySelector(".l-here"), document.querySelector(".l-box")]) {
      mark?.scrollIntoView({ block: "center", inline: "nearest" });
    }
  };
  requestAnimationFrame(() => {
    const picture = document.querySelector(".l-picture-page");
    if (picture && !picture.complete) picture.addEventListener("load", show, { once: true });
    else show();
  });
}

async function llarCopy(button) {
  const text = button.dataset.text;
  if (navigator.clipboard) {
    await navigator.clipboard.writeText(text);
  } else { // a page that came without HTTPS from another machine
    const box = Object.assign(document.createElement("textarea"), { value: text });
    document.body.append(box);
    box.select();
    document.execCommand("copy");
    box.remove();
    button.focus();
  }
  Quasar.Notify.create({ message: button.dataset.copied, type: "positive", timeout: 1500 });
}

function llarConversations() {
  const list = document.getElementById("conversations");
  if (!list.classList.toggle("l-open")) return;
  list.querySelector("input").focus();
}

document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape" || event.defaultPrevented) return;
  const list = document.querySelector(".l-conversations.l-open");
  if (document.querySelector(".q-dialog, .q-menu")) return;
  if (list) {
    list.classList.remove("l-open");
    document.querySelector(".l-opens-conversations").focus();
    return;
  }
  document.querySelector(".l-stop:not(.hidden)")?.click();
});
document.addEventListener("click", (event) => {
  const list = document.querySelector(".l-conversations.l-open");
  if (list && !list.contains(event.target) && !event.target.closest(".l-opens-conversations, .q-menu, .q-dialog")) {
    list.classList.remove("l-open");
  }
});
