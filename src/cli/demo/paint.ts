/** Colors for a terminal, nothing elsewhere. */
export interface Paint {
  bold: (text: string) => string
  dim: (text: string) => string
  good: (text: string) => string
  bad: (text: string) => string
  /** One of a few colors, so that what belongs together looks alike. */
  series: (index: number, text: string) => string
}

const SERIES = [36, 33, 35, 32, 34, 31]

/** @param colors whether the text goes to a terminal that shows them */
export function makePaint(colors: boolean): Paint {
  const sgr = (code: number) => (text: string): string => (colors ? `\x1b[${code}m${text}\x1b[0m` : text)
  return {
    bold: sgr(1), dim: sgr(2), good: sgr(32), bad: sgr(31), series: (index, text) => sgr(SERIES[index % SERIES.length]!)(text),
  }
}

/** Lines of right-aligned columns; the first column is left-aligned. The first row is the heading. */
export function alignedLines(rows: readonly (readonly string[])[]): string[] {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)))
  return rows.map((row) => row.map((cell, i) => (i === 0 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!))).join('  ').trimEnd())
}
