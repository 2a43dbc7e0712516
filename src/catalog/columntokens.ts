import { ColumnListError } from './columnlisterror.ts'

type TokenKind = 'word' | 'quoted' | 'number' | 'string' | 'sign'

interface Token {
  kind: TokenKind
  /** Words in lower case, quoted names without their quotes. */
  text: string
  /** Where it begins in the text. */
  at: number
}

const TOKEN = /\s+|--[^\n]*|([\p{L}_][\p{L}\p{N}_$]*)|"((?:[^"]|"")*)"|(-?\d+)|'((?:[^']|'')*)'|([^\s])/uy

/** The words of a list of columns, as Postgres's scanner sees them, in order. */
export class ColumnTokens {
  private readonly text: string
  private readonly tokens: readonly Token[]
  private next = 0

  /** @throws ColumnListError for a quote that is not closed */
  constructor(text: string) {
    this.text = text
    this.tokens = [...tokensOf(text)]
  }

  get atEnd(): boolean {
    return this.next >= this.tokens.length
  }

  get atItemEnd(): boolean {
    return this.atEnd || this.isSign(',')
  }

  isWord(word: string): boolean {
    const token = this.tokens[this.next]
    return token?.kind === 'word' && token.text === word
  }

  takeWord(word: string): boolean {
    return this.step(this.isWord(word))
  }

  /** A comma, bracket or the like. */
  take(sign: string): boolean {
    return this.step(this.isSign(sign))
  }

  private isSign(sign: string): boolean {
    const token = this.tokens[this.next]
    return token?.kind === 'sign' && token.text === sign
  }

  private step(found: boolean): boolean {
    if (found) this.next++
    return found
  }

  expect(sign: string): void {
    if (!this.take(sign)) throw this.wrong(`'${sign}'`)
  }

  /** A name, quoted or not. @throws ColumnListError */
  name(what: string): string {
    const token = this.tokens[this.next]
    if (token?.kind !== 'word' && token?.kind !== 'quoted') throw this.wrong(what)
    if (token.text === '') throw new ColumnListError(`an empty name${this.where(token.at)}`)
    this.next++
    return token.text
  }

  /** @throws ColumnListError */
  number(what: string): number {
    const token = this.tokens[this.next]
    if (token?.kind !== 'number') throw this.wrong(what)
    this.next++
    return Number(token.text)
  }

  isNumber(): boolean {
    return this.tokens[this.next]?.kind === 'number'
  }

  /** Passes over everything up to the next comma that is in no brackets; returns the words and signs that were there. */
  skipItem(): string[] {
    const passed: string[] = []
    let depth = 0
    for (; !this.atEnd; this.next++) {
      const { kind, text, at } = this.tokens[this.next]!
      if (kind === 'sign' && text === ',' && depth === 0) break
      if (kind === 'sign' && (text === '(' || text === '[')) depth++
      if (kind === 'sign' && (text === ')' || text === ']') && depth-- === 0) throw new ColumnListError(`'${text}' closes nothing${this.where(at)}`)
      if (kind === 'word' || kind === 'sign') passed.push(text)
    }
    if (depth > 0) throw new ColumnListError('a bracket is not closed')
    return passed
  }

  wrong(expected: string): ColumnListError {
    const token = this.tokens[this.next]
    return new ColumnListError(token ? `${expected} is expected${this.where(token.at)}` : `${expected} is expected at the end`)
  }

  private where(at: number): string {
    const rest = this.text.slice(at)
    return ` at '${rest.length > 24 ? `${rest.slice(0, 24)}…` : rest}'`
  }
}

function* tokensOf(text: string): Iterable<Token> {
  TOKEN.lastIndex = 0
  for (let at = 0; at < text.length; at = TOKEN.lastIndex) {
    const [, word, quoted, number, string, sign] = TOKEN.exec(text)!
    if (word !== undefined) yield { kind: 'word', text: word.toLowerCase(), at }
    else if (quoted !== undefined) yield { kind: 'quoted', text: quoted.replaceAll('""', '"'), at }
    else if (number !== undefined) yield { kind: 'number', text: number, at }
    else if (string !== undefined) yield { kind: 'string', text: string, at }
    else if (sign === '"' || sign === "'") throw new ColumnListError(`the quote at '${text.slice(at, at + 24)}' is not closed`)
    else if (sign !== undefined) yield { kind: 'sign', text: sign, at }
  }
}
