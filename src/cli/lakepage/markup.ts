import { printable } from '../../common/printable.ts'

/** Text that is HTML or SVG already: {@link markup} alone makes it, so that nothing else gets into a page as it is. */
export class Markup {
  readonly text: string

  private constructor(text: string) {
    this.text = text
  }

  static of(parts: TemplateStringsArray, values: readonly Value[]): Markup {
    return new Markup(parts.reduce((text, part, i) => `${text}${textOf(values[i - 1]!)}${part}`))
  }
}

type Value = string | number | Markup | readonly Markup[]

/** A template whose values are escaped, in elements and in quoted attributes: names in a lake may hold any character. */
export function markup(parts: TemplateStringsArray, ...values: readonly Value[]): Markup {
  return Markup.of(parts, values)
}

function textOf(value: Value): string {
  if (value instanceof Markup) return value.text
  if (typeof value === 'number') return String(Number(value.toFixed(2)))
  if (typeof value !== 'string') return value.map(({ text }) => text).join('')
  return printable(value).replace(/[&<>"'`]/g, (char) => `&#${char.charCodeAt(0)};`)
}
