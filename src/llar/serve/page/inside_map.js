// The map of meanings on the page; what draws it is the script of llar's own HTML maps.
export default {
  template: `
    <div class="t-map" ref="root">
      <div class="t-bar">
        <input data-map="find" type="search" class="t-input" :placeholder="names.find" :aria-label="names.find">
        <button data-map="in" type="button" class="t-button" :aria-label="names.in">+</button>
        <button data-map="out" type="button" class="t-button" :aria-label="names.out">−</button>
        <button data-map="fit" type="button" class="t-button">{{ names.whole }}</button>
      </div>
      <div data-map="groups" class="t-bar t-groups" role="group" :aria-label="names.groups"></div>
      <div class="t-place">
        <canvas data-map="map" tabindex="0" role="application" :aria-roledescription="names.role" :aria-label="names.keys"></canvas>
        <div data-map="tip" class="t-tip" hidden></div>
      </div>
      <div data-map="said" class="l-unseen" role="status" aria-live="polite"></div>
      <details data-map="all" class="t-all"><summary>{{ names.all }}</summary><ol data-map="list"></ol></details>
    </div>`,
  props: { points: Object, names: Object, opens: Boolean },
  async mounted() {
    while (!globalThis.llarMap) await new Promise((done) => setTimeout(done, 20));
    const choices = { styled: this.$refs.root, found: (many) => this.names.found.replace("{count}", many) };
    if (this.opens) choices.open = (n) => this.$emit("open", n);
    const drawn = globalThis.llarMap(this.$refs.root, this.points, choices);
    this.watch = new MutationObserver(drawn.repaint); // light or dark was chosen
    this.watch.observe(document.body, { attributes: true, attributeFilter: ["class"] });
    this.$refs.root.dataset.ready = "yes";
  },
  unmounted() {
    if (this.watch) this.watch.disconnect();
  },
};
