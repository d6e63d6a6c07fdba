// Tokens of a text as chips: each has an edge of its own, so colour is never the only sign.
// tokens: [[shown, id, bytes, kind]], kind is "", "special", "unknown" or "part" (of a character).
export default {
  template: `
    <ol class="t-tokens" :aria-label="label" :lang="lang || undefined">
      <li v-for="(t, n) in tokens" :key="n" class="t-token" :class="['t-c' + (n % 5), t[3] && 't-' + t[3]]"
          :title="names.id + ' ' + t[1] + ' · ' + names.bytes + ' ' + t[2] + (t[3] ? ' · ' + names[t[3]] : '')">
        <span class="t-text">{{ t[0] }}</span><span v-if="below === 'ids'" class="t-below">{{ t[1] }}</span
        ><span v-else-if="below === 'bytes'" class="t-below">{{ t[2] }}</span>
      </li>
    </ol>`,
  props: { tokens: Array, below: String, label: String, names: Object, lang: String },
};
