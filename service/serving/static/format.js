// Numbers as people read them.
const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const tenth = new Intl.NumberFormat("en", { maximumFractionDigits: 1 });
const short = new Intl.NumberFormat("en", { notation: "compact", maximumSignificantDigits: 3 });

export const count = (value) => whole.format(value);
export const brief = (value) => (Math.abs(value) < 10_000 ? tenth.format(value) : short.format(value));
export const percent = (share, digits = 1) => `${(share * 100).toFixed(digits)} %`;
export const fixed = (value, digits = 2) => (Number.isFinite(value) ? value.toFixed(digits) : "none");
export const signed = (share) => `${share > 0 ? "+" : share < 0 ? "−" : "±"}${Math.abs(share * 100).toFixed(0)} %`;
export const plural = (n, one, many = `${one}s`) => `${count(n)} ${n === 1 ? one : many}`;

/** A feature's value: years with one digit, money and counts by size. */
export function amount(name, value) {
  if (value === undefined || value === null) return "–";
  if (name === "Age" || name === "Purchases") return tenth.format(value);
  return value >= 1000 ? whole.format(value) : tenth.format(value);
}

export const label = (name) => name.replaceAll("_", " ");

export function bytes(size) {
  if (size >= 2 ** 20) return `${tenth.format(size / 2 ** 20)} MB`;
  return size >= 1024 ? `${whole.format(size / 1024)} kB` : `${size} bytes`;
}

export function moment(iso) {
  const date = new Date(iso);
  return Number.isNaN(date.getTime()) ? iso : date.toISOString().slice(0, 16).replace("T", " ") + " UTC";
}
