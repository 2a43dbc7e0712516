import { printable } from '../../common/printable.ts'

/** One row's values as text; undefined for NULL. */
export type Cells = readonly (string | undefined)[]

/** Rows of cells as lines of text, in one of the formats of `ltap query`. */
export interface RowFormat {
  head: () => string
  row: (cells: Cells) => string
  tail: (rows: number) => string
}

/**
 * A header line, then one line per row, quoted as in RFC 4180, lines ended by LF; NULL is empty and an empty text is `""`. COPY of Postgres ends at a
 * line `\.`, so such a value is quoted.
 */
export function csvFormat(names: readonly string[]): RowFormat {
  return { head: () => csvLine(names), row: csvLine, tail: () => '' }
}

function csvLine(cells: Cells): string {
  return `${cells.map((cell) => (cell === undefined ? '' : csvCell(cell))).join(',')}\n`
}

function csvCell(cell: string): string {
  return cell === '' || cell === '\\.' || /[",\r\n]|^\s|\s$/.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell
}

/** An array with one object per line. Cells are JSON already. */
export function jsonFormat(names: readonly string[]): RowFormat {
  const keys = names.map((name) => JSON.stringify(name))
  let first = true
  return {
    head: () => '[',
    row: (cells) => {
      const line = `${first ? '' : ','}\n{${cells.map((cell, i) => `${keys[i]}:${cell ?? 'null'}`).join(',')}}`
      first = false
      return line
    },
    tail: () => '\n]\n',
  }
}

const NULL_TEXT = 'NULL'

/** Aligned columns. `sample`, the first rows, decides the widths; a wider cell of a later row stands out of line. */
export function alignedFormat(names: readonly string[], isNumber: readonly boolean[], sample: readonly Cells[]): RowFormat {
  const shown = names.map(printable)
  const widths = shown.map(textWidth)
  for (const cells of sample) {
    cells.forEach((cell, i) => (widths[i] = Math.max(widths[i]!, textWidth(printable(cell ?? NULL_TEXT)))))
  }
  const line = (cells: readonly string[], right: readonly boolean[]): string => {
    return `${cells.map((cell, i) => ` ${pad(cell, widths[i]!, right[i]!)} `).join('|').trimEnd()}\n`
  }
  return {
    head: () => line(shown, isNumber) + `${widths.map((width) => '-'.repeat(width + 2)).join('+')}\n`,
    row: (cells) => line(cells.map((cell) => printable(cell ?? NULL_TEXT)), isNumber),
    tail: (rows) => `(${rows} row${rows === 1 ? '' : 's'})\n`,
  }
}

function pad(cell: string, width: number, right: boolean): string {
  const blanks = ' '.repeat(Math.max(0, width - textWidth(cell)))
  return right ? blanks + cell : cell + blanks
}

/** Columns on a terminal: none for combining marks, two for wide East Asian characters and emoji. */
function textWidth(text: string): number {
  if (/^[\x20-\x7e]*$/.test(text)) return text.length
  let width = 0
  for (const char of text) width += /[\p{M}\p{Cf}]/u.test(char) ? 0 : WIDE.test(char) ? 2 : 1
  return width
}

const WIDE = /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Hangul}\p{Emoji_Presentation}\u3000-\u303f\uff01-\uff60]/u
