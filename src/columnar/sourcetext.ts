import { assert } from '../common/errors.ts'

/**
 * Text of code that is going to run. It is made of literals of this program and of integers, of nothing else: descriptors come out of files that a
 * stranger may have written, so no text of theirs, and no value that could bring text, may get into code.
 */
export class SourceText {
  readonly text: string

  /** Only {@link code} and {@link codeLines} make one. */
  constructor(key: typeof KEY, text: string) {
    assert(key === KEY, 'source text is made by code`…`')
    this.text = text
  }
}

const KEY: unique symbol = Symbol('code')

/** `code\`at += ${4}\``: takes integers and other source text. */
export function code(literals: TemplateStringsArray, ...parts: readonly (number | SourceText)[]): SourceText {
  return new SourceText(KEY, literals.map((literal, i) => (i === 0 ? '' : partText(parts[i - 1])) + literal).join(''))
}

export function codeLines(parts: readonly SourceText[], separator: ' ' | '\n' | ' & ' | ' && ' = '\n'): SourceText {
  return new SourceText(KEY, parts.map(partText).join(separator))
}

function partText(part: unknown): string {
  if (part instanceof SourceText) return part.text
  // A number's own digits: 1.5, NaN, 1e21 and everything that is no number have other characters.
  const digits = typeof part === 'number' ? String(part) : ''
  assert(/^-?\d+$/.test(digits), `generated code takes integers only, not ${typeof part}`)
  return digits
}
