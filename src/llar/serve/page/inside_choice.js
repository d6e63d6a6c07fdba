// What may come next: a row for each of the likeliest tokens, kept or cut, with exact numbers.
// rows: [{id, shown, before, after, kept, chosen}], probabilities from 0 to 1.
export default {
  template: `
    <table class="t-choice" :class="{'t-picks': picks}">
      <caption class="l-unseen">{{ names.caption }}</caption>
      <thead><tr>
        <th scope="col">{{ names.token }}</th>
        <th scope="col" class="t-id">{{ names.id }}</th>
        <th scope="col" class="t-bars"><span class="l-unseen">{{ names.bars }}</span></th>
        <th scope="col" class="t-figure">{{ names.before }}</th>
        <th scope="col" class="t-figure">{{ names.after }}</th>
        <th scope="col" class="t-kept">{{ names.kept }}</th>
      </tr></thead>
      <tbody>
        <tr v-for="r in rows" :key="r.id" :class="{'t-cut': !r.kept, 't-chosen': r.chosen}" :data-id="r.id">
          <th scope="row">
            <button v-if="picks" type="button" class="t-token t-pick" @click="$emit('pick', r.id)"
                    :aria-label="names.take + ' ' + r.shown"><span class="t-text">{{ r.shown }}</span></button>
            <span v-else class="t-token"><span class="t-text">{{ r.shown }}</span></span>
          </th>
          <td class="t-id">{{ r.id }}</td>
          <td class="t-bars" aria-hidden="true">
            <i class="t-bar t-before" :style="{width: wide(r.before)}"></i>
            <i class="t-bar t-after" :style="{width: wide(r.after)}"></i>
          </td>
          <td class="t-figure">{{ share(r.before) }}</td>
          <td class="t-figure t-strong">{{ r.kept ? share(r.after) : '–' }}</td>
          <td class="t-kept"><span :class="r.kept ? 't-yes' : 't-no'">{{ r.kept ? '✓ ' : '✗ ' }}<span class="t-word">{{ r.kept ? names.yes : names.no }}</span></span></td>
        </tr>
      </tbody>
    </table>`,
  props: { rows: Array, names: Object, picks: Boolean, locale: String },
  computed: {
    most() { return Math.max(1e-12, ...this.rows.map((r) => Math.max(r.before, r.after))); },
  },
  methods: {
    wide(p) { return (100 * p) / this.most + "%"; },
    share(p) {
      const most = p > 0 && p < 1e-4 ? { maximumSignificantDigits: 2 } : { minimumFractionDigits: 2, maximumFractionDigits: 2 };
      return new Intl.NumberFormat(this.locale, { style: "percent", ...most }).format(p);
    },
  },
};
