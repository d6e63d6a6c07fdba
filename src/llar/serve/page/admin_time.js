// A moment by the reader's clock and in the reader's language; its title is the exact one, in UTC.
export default {
  template: `<time :datetime="at" :title="at">{{ text }}</time>`,
  props: { at: String, locale: String, seconds: Boolean },
  computed: {
    text() {
      const style = { dateStyle: "medium", timeStyle: this.seconds ? "medium" : "short" };
      return new Intl.DateTimeFormat(this.locale, style).format(new Date(this.at));
    },
  },
};
