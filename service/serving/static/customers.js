// Find Age, Income and Purchases in a customer file and judge each row, by the rules of `segserve score`
// (docs/data.md; tests/browser compares the two on the same files).

export const NEEDED = ["Age", "Income", "Purchases"];
export const READY = "Spending_Power";
const MAX_VALUE = 1e100;

const SPACE = "[ \\u00a0\\u2007\\u2009\\u202f]";
const APOSTROPHE = "['\\u2019]";
const CODES = "USD|EUR|GBP|JPY|INR|CNY|CHF|CAD|AUD|NZD|SEK|NOK|DKK|PLN|CZK|HUF|RON|TRY|BRL|MXN|ZAR|SGD|HKD|KRW|TWD|THB|IDR|MYR|PHP|ILS|AED|SAR";
const CURRENCY = `(?:[$€£¥₹]|(?:${CODES.replace(/[A-Z]/g, (letter) => `[${letter}${letter.toLowerCase()}]`)}))`;
const MISSING = /^(?:na|n\/a|nan|null|none|-)?$/i;
const PLAIN = /^[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?$/;
const BLANKS = /^[ \t\r\n\v\f\u00a0\u2007\u2009\u202f\ufeff]+|[ \t\r\n\v\f\u00a0\u2007\u2009\u202f\ufeff]+$/g;

const AMOUNTS = Object.fromEntries([".", ","].map((decimal) => {
  const point = decimal === "." ? "\\." : ",";
  const other = decimal === "." ? "," : "\\.";
  const grouped = [other, SPACE, APOSTROPHE].map((separator) => `[1-9][0-9]{0,2}(?:${separator}[0-9]{3})+`).join("|");
  const plain = `(?:[0-9]+${point}?[0-9]*|${point}[0-9]+)(?:[eE][+-]?[0-9]+)?`;
  const sign = `(?:[+-]?(?:${CURRENCY}${SPACE}*)?|${CURRENCY}${SPACE}*[+-])`;
  return [decimal, new RegExp(`^${sign}(?:(?:${grouped})(?:${point}[0-9]*)?|${plain})(?:${SPACE}*${CURRENCY})?$`)];
}));
const CURRENCIES = new RegExp(CURRENCY, "g");
const FILLERS = { ".": new RegExp(`${SPACE}|${APOSTROPHE}|,`, "g"), ",": new RegExp(`${SPACE}|${APOSTROPHE}|\\.`, "g") };

/** Return {value}, or {flaw} with the reason, or {isMissing}. */
export function readNumber(text, decimal) {
  if (decimal === "." && PLAIN.test(text)) return finite(Number(text));
  const trimmed = text.replace(BLANKS, "");
  if (MISSING.test(trimmed)) return { isMissing: true };
  if (AMOUNTS[decimal].test(trimmed)) {
    const bare = trimmed.replace(CURRENCIES, "").replace(FILLERS[decimal], "");
    return finite(Number(decimal === "," ? bare.replace(",", ".") : bare));
  }
  const other = decimal === "." ? "," : ".";
  if (AMOUNTS[other].test(trimmed)) {
    return { flaw: `looks like a number with a decimal ${other === "," ? "comma" : "point"}; choose that for such files` };
  }
  return { flaw: "is not a number" };
}

const finite = (value) => (Number.isFinite(value) ? { value } : { flaw: "is not finite" });

/** What makes two column names the same: no outer blanks, no case, one kind of gap. */
export const fold = (name) => name.trim().toLowerCase().replace(/[\s_-]+/g, "_");

/** Return {columns: {name: place}, missing: [names]}; Spending_Power stands in for Income and Purchases. */
export function findColumns(header) {
  const folded = header.map(fold);
  const columns = {};
  for (const name of [...NEEDED, READY]) {
    const place = folded.indexOf(fold(name));
    if (place >= 0) columns[name] = place;
  }
  return { columns, missing: missingOf(columns) };
}

export function missingOf(columns) {
  const missing = NEEDED.filter((name) => columns[name] === undefined);
  const isReady = columns[READY] !== undefined && columns.Age !== undefined && missing.length > 0;
  return isReady ? [] : missing;
}

/** Return {age, power, notes} of a usable row, or {column, reason}. */
export function judge(fields, { header, columns, decimal, incomeMedian }) {
  const isReady = NEEDED.some((name) => columns[name] === undefined);
  const values = {};
  for (const name of isReady ? ["Age", READY] : NEEDED) {
    const column = header[columns[name]];
    const read = readNumber(fields[columns[name]], decimal);
    if (read.flaw) return { column, reason: `${name} ${read.flaw}` };
    if (read.isMissing && name !== "Income") return { column, reason: `${name} is missing` };
    if (read.value > MAX_VALUE) return { column, reason: `${name} must not be above 1e+100` };
    if (name === "Age" && read.value <= 0) return { column, reason: "Age must be greater than 0" };
    if (read.value < 0) return { column, reason: `${name} must not be negative` };
    values[name] = read.value;
  }
  if (isReady) return { age: values.Age, power: values[READY], isImputed: false, hasNoPurchase: false };
  const isImputed = values.Income === undefined;
  const income = isImputed ? incomeMedian : values.Income;
  return { age: values.Age, power: income / Math.max(values.Purchases, 1), isImputed, hasNoPurchase: values.Purchases === 0 };
}
