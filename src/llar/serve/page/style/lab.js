// A passage under the pointer or in focus is lit in every column.
function llarLight(event, on) {
  const card = event.target.closest && event.target.closest(".k-hit");
  if (!card) return;
  const chunk = CSS.escape(card.dataset.chunk);
  card.closest(".k-ranks").querySelectorAll(`[data-chunk="${chunk}"]`).forEach((other) => {
    other.classList.toggle("k-lit", on);
  });
}
for (const [name, on] of [["mouseover", true], ["mouseout", false], ["focusin", true], ["focusout", false]]) {
  document.addEventListener(name, (event) => llarLight(event, on));
}
