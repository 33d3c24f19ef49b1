// Read CSV in any usual dialect, with the line that each record starts on, and write it.

const DELIMITERS = [",", ";", "\t", "|"];
const SNIFFED_CHARS = 128 * 1024;
const SNIFFED_RECORDS = 50;

/** Decode UTF-8 with or without BOM, UTF-16 with BOM, else Windows-1252; return {text, encoding}. */
export function decode(buffer) {
  const start = new Uint8Array(buffer, 0, Math.min(3, buffer.byteLength));
  if (start[0] === 0xff && start[1] === 0xfe) return { text: new TextDecoder("utf-16le").decode(buffer), encoding: "UTF-16" };
  if (start[0] === 0xfe && start[1] === 0xff) return { text: new TextDecoder("utf-16be").decode(buffer), encoding: "UTF-16" };
  try {
    return { text: new TextDecoder("utf-8", { fatal: true }).decode(buffer), encoding: "UTF-8" };
  } catch {
    return { text: new TextDecoder("windows-1252").decode(buffer), encoding: "Windows-1252" };
  }
}

/** Yield {line, fields} of each record; a quoted field may hold delimiters, quotes and line breaks. */
export function* records(text, delimiter) {
  let at = 0;
  let line = 1;
  const isPlain = !text.includes('"');
  while (at < text.length) {
    const started = line;
    if (isPlain) {
      let end = text.indexOf("\n", at);
      if (end < 0) end = text.length;
      const stop = text[end - 1] === "\r" && end > at ? end - 1 : end;
      yield { line: started, fields: text.slice(at, stop).split(delimiter) };
      at = end + 1;
      line += 1;
      continue;
    }
    const fields = [];
    for (;;) {
      let field = "";
      if (text[at] === '"') {
        at += 1;
        for (;;) {
          let quote = text.indexOf('"', at);
          if (quote < 0) quote = text.length;
          field += text.slice(at, quote);
          at = quote + 1;
          if (text[at] !== '"') break;
          field += '"';
          at += 1;
        }
        for (const character of field) if (character === "\n") line += 1;
      }
      const from = at;
      while (at < text.length && text[at] !== delimiter && text[at] !== "\n" && text[at] !== "\r") at += 1;
      fields.push(field + text.slice(from, at));
      if (text[at] !== delimiter) break;
      at += 1;
    }
    if (text[at] === "\r") at += 1;
    if (text[at] === "\n") at += 1;
    line += 1;
    yield { line: started, fields };
  }
}

/** Return the delimiter with which the first records agree best on a number of fields. */
export function sniff(text) {
  const cut = text.slice(0, SNIFFED_CHARS);
  let best = { delimiter: ",", score: 0 };
  for (const delimiter of DELIMITERS) {
    const widths = [];
    for (const { fields } of records(cut, delimiter)) {
      if (fields.length > 1 || fields[0].trim()) widths.push(fields.length);
      if (widths.length === SNIFFED_RECORDS) break;
    }
    const width = widths[0] ?? 0;
    const agreeing = widths.filter((other) => other === width).length / (widths.length || 1);
    const score = width > 1 ? agreeing * 100 + Math.min(width, 50) / 100 : 0;
    if (score > best.score) best = { delimiter, score };
  }
  return best.delimiter;
}

/** Return one line, with quotes only where they must be. */
export function formatRow(fields, delimiter) {
  return `${fields.map((field) => {
    const text = String(field);
    return text.includes(delimiter) || /["\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  }).join(delimiter)}\n`;
}
