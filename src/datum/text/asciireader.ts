import { ParseError } from '../codec.ts'

/** Reads a text forward. Everything throws ParseError when the text says something else. */
export class AsciiReader {
  readonly text: Uint8Array
  readonly end: number
  at: number

  constructor(text: Uint8Array, start: number, end: number) {
    this.text = text
    this.at = start
    this.end = end
  }

  get done(): boolean {
    return this.at >= this.end
  }

  /** The next byte, or -1 at the end. */
  peek(): number {
    return this.at < this.end ? this.text[this.at]! : -1
  }

  /** Skips `word` if it comes next. */
  skip(word: string): boolean {
    if (this.at + word.length > this.end) return false
    for (let i = 0; i < word.length; i++) if (this.text[this.at + i] !== word.charCodeAt(i)) return false
    this.at += word.length
    return true
  }

  expect(word: string): void {
    if (!this.skip(word)) throw new ParseError(`no '${word}' where one belongs`)
  }

  /** Decimal digits without sign, at most `max`. */
  unsigned(max: number): number {
    const start = this.at
    let value = 0
    for (; this.at < this.end; this.at++) {
      const digit = this.text[this.at]! - 0x30
      if (digit < 0 || digit > 9) break
      value = value * 10 + digit
      if (value > max) throw new ParseError(`a number above ${max}`)
    }
    if (this.at === start) throw new ParseError('no digit where one belongs')
    return value
  }

  /** Up to the next of `stops`, or the end. */
  until(stops: string): string {
    let word = ''
    while (this.at < this.end && !stops.includes(String.fromCharCode(this.text[this.at]!))) {
      word += String.fromCharCode(this.text[this.at++]!)
    }
    return word
  }

  finish(): void {
    if (!this.done) throw new ParseError('text behind the value')
  }
}
