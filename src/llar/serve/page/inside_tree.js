// Every continuation that was tried, as lines of tokens; a line further in branches off above.
// lines: [{depth, nodes: [{n, shown, share, on, here}]}]; a click goes back to that token.
export default {
  template: `
    <ol class="t-tree" :aria-label="names.tree">
      <li v-for="(line, i) in lines" :key="i" class="t-line" :style="{'--depth': Math.min(line.depth, 6)}">
        <span v-if="line.depth" class="t-turn" aria-hidden="true">↳</span>
        <span v-if="line.depth" class="l-unseen">{{ names.branch }} {{ line.depth }}</span>
        <button v-for="t in line.nodes" :key="t.n" type="button" class="t-token t-pick" :data-node="t.n"
                :class="{'t-on': t.on, 't-here': t.here, 't-start': t.n === 0}" :aria-current="t.here ? 'step' : undefined"
                :aria-label="t.n === 0 ? names.start : names.back + ' ' + t.shown + (t.share ? ', ' + t.share : '')"
                @click="$emit('back', t.n)">
          <span class="t-text">{{ t.n === 0 ? names.start : t.shown }}</span><span v-if="t.share" class="t-below">{{ t.share }}</span>
        </button>
      </li>
    </ol>`,
  props: { lines: Array, names: Object },
};
