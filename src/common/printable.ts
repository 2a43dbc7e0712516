/*
 * Names in a cluster, a file or a lake may hold any character. On a terminal some of them are commands (ESC and the C1 controls), break the line,
 * or show the text in another order than it has (bidi controls), so that a forged name can look like another name or like a message of ltap.
 */
const SHORT: Readonly<Record<string, string>> = { '\n': '\\n', '\r': '\\r', '\t': '\\t' }

/** Controls, line and paragraph separator, bidi controls, invisible characters (but for the joiners that scripts need), lone surrogates. */
const UNPRINTABLE =
  // oxlint-disable-next-line no-misleading-character-class
  /[\p{Cc}\p{Cs}\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\u{e0000}-\u{e007f}]/gu

/** `text` for people, on one line: what would not show as itself is `\n`, `\x1b` or `\u202e`. */
export function printable(text: string): string {
  return text.replace(UNPRINTABLE, escaped)
}

/** As {@link printable}, for text whose own line ends and tabs must stay. */
export function printableLines(text: string): string {
  return text.replace(UNPRINTABLE, (char) => (char === '\n' || char === '\t' ? char : escaped(char)))
}

function escaped(char: string): string {
  const point = char.codePointAt(0)!
  const hex = point.toString(16)
  return SHORT[char] ?? (point < 0x100 ? `\\x${hex.padStart(2, '0')}` : point < 0x10000 ? `\\u${hex.padStart(4, '0')}` : `\\u{${hex}}`)
}
