import { type Markup, markup } from './markup.ts'

/** The colors of the style sheet. */
export type Color = 'a' | 'b' | 'c' | 'back'

/** One row of a chart of bars. */
export interface Bar {
  label: string
  /** Drawn from the left, shorter ones over longer ones, in the unit of the chart. */
  over?: readonly (readonly [value: number, Color])[]
  /** Drawn one behind the other. */
  parts?: readonly (readonly [value: number, Color])[]
  /** What stands behind the bar. */
  text: string
}

const WIDTH = 960
const LABEL_WIDTH = 270
const TEXT_WIDTH = 250
const ROW_HEIGHT = 22
const BAR_HEIGHT = 13
const LABEL_LENGTH = 40

/** Horizontal bars to one scale. @param most the longest bar; default: the largest value */
export function barChart(name: string, bars: readonly Bar[], most: number = Math.max(0, ...bars.map(lengthOf))): Markup {
  const height = bars.length * ROW_HEIGHT
  return markup`<svg viewBox="0 0 ${WIDTH} ${height}" role="img" aria-label="${name}">${bars.map((bar, row) => barRow(bar, row * ROW_HEIGHT, most))}</svg>\n`
}

function lengthOf({ over = [], parts = [] }: Bar): number {
  return Math.max(0, ...over.map(([value]) => value), parts.reduce((sum, [value]) => sum + value, 0))
}

function barRow({ label, over = [], parts = [], text }: Bar, y: number, most: number): Markup {
  const room = WIDTH - LABEL_WIDTH - TEXT_WIDTH
  const scaled = (value: number): number => (most === 0 ? 0 : (Math.min(value, most) / most) * room)
  let x = LABEL_WIDTH
  const rects = [...over].sort(([a], [b]) => b - a).map(([value, color]) => rect(LABEL_WIDTH, y, scaled(value), color))
  for (const [value, color] of parts) {
    rects.push(rect(x, y, scaled(value), color))
    x += scaled(value)
  }
  const end = LABEL_WIDTH + scaled(lengthOf({ label, over, parts, text }))
  const name = markup`<text class="end" x="${LABEL_WIDTH - 8}" y="${y + 15}">${short(label)}</text>`
  const behind = markup`<text class="faint" x="${end + 6}" y="${y + 15}">${text}</text>`
  return markup`<g><title>${titleText(`${label}: ${text}`)}</title>${name}${rects}${behind}</g>`
}

function rect(x: number, y: number, width: number, color: Color): Markup {
  // What is not nothing can be seen.
  return markup`<rect class="${color}" x="${x}" y="${y + (ROW_HEIGHT - BAR_HEIGHT) / 2}" width="${width > 0 ? Math.max(width, 1) : 0}" height="${BAR_HEIGHT}"/>`
}

/** One dot of a row. */
export interface Dot {
  /** From 0, left, to 1. */
  at: number
  /** From 0 to 1: its area. */
  size: number
  color: Color
  title: string
}

export interface DotRow {
  label: string
  dots: readonly Dot[]
  text: string
}

const RADIUS_MIN = 2.5
const RADIUS_MAX = 9
const AXIS_HEIGHT = 24

/** Rows of dots along one axis. @param lines places of lines across all rows @param ends what stands below the axis at its ends */
export function dotChart(name: string, rows: readonly DotRow[], lines: readonly number[], ends: readonly [string, string]): Markup {
  const [left, right] = [LABEL_WIDTH + RADIUS_MAX, WIDTH - 110 - RADIUS_MAX]
  const place = (at: number): number => left + at * (right - left)
  const bottom = rows.length * ROW_HEIGHT
  const drawn = rows.map(({ label, dots, text }, row) => {
    const y = row * ROW_HEIGHT + ROW_HEIGHT / 2
    const circles = dots.map(({ at, size, color, title }) => {
      const radius = RADIUS_MIN + Math.sqrt(size) * (RADIUS_MAX - RADIUS_MIN)
      return markup`<circle class="${color}" cx="${place(at)}" cy="${y}" r="${radius}"><title>${titleText(title)}</title></circle>`
    })
    const names = markup`<text class="end" x="${LABEL_WIDTH - 8}" y="${y + 4}">${short(label)}<title>${titleText(label)}</title></text>`
    const line = markup`<line x1="${left}" y1="${y}" x2="${right}" y2="${y}"/>`
    return markup`${names}${line}${circles}<text class="faint" x="${right + RADIUS_MAX + 6}" y="${y + 4}">${text}</text>`
  })
  const grid = lines.map((at) => markup`<line x1="${place(at)}" y1="0" x2="${place(at)}" y2="${bottom}"/>`)
  const [first, last] = ends
  const axis = [
    markup`<text class="faint" x="${left}" y="${bottom + 16}">${first}</text>`,
    ...(first === last ? [] : [markup`<text class="faint end" x="${right}" y="${bottom + 16}">${last}</text>`]),
  ]
  return markup`<svg viewBox="0 0 ${WIDTH} ${bottom + AXIS_HEIGHT}" role="img" aria-label="${name}">${grid}${drawn}${axis}</svg>\n`
}

/** What the colors mean. */
export function legend(...keys: readonly (readonly [Color, string])[]): Markup {
  return markup`<p>${keys.map(([color, text]) => markup`<span class="key ${color}"></span>${text}`)}</p>\n`
}

/** The end of a name tells more than its beginning, which many share. */
function short(label: string): string {
  const characters = [...label]
  return characters.length <= LABEL_LENGTH ? label : `…${characters.slice(1 - LABEL_LENGTH).join('')}`
}

function titleText(text: string): string {
  return text.length <= 500 ? text : `${text.slice(0, 500)}…`
}
